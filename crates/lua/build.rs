//! Lets the tests' executables list their symbols as the product's does.

fn main() {
    println!("cargo::rerun-if-changed=exports.list");
    println!("cargo::rustc-link-arg-tests=-Wl,--dynamic-list={}/exports.list", env!("CARGO_MANIFEST_DIR"));
}
