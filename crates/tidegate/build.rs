//! Lets Lua libraries find the C functions of the executable, by `ffi.C` and from modules of C.

fn main() {
    let list = concat!(env!("CARGO_MANIFEST_DIR"), "/../lua/exports.list");
    println!("cargo::rerun-if-changed={list}");
    println!("cargo::rustc-link-arg-bins=-Wl,--dynamic-list={list}");
}
