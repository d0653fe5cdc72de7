//! C functions that Lua libraries look for in the process, by `ffi.C`.
//!
//! Libraries written for OpenResty call functions of nginx and of OpenSSL that way. Those of nginx are in [`nginx`];
//! those of OpenSSL are AWS-LC's, the library that TLS uses as well, under their usual names ([`openssl`]). The
//! modules of the host that need cryptography call the same ones, by [`address`].
//!
//! That the linker lists them for others to find is asked for where an executable is linked: see `exports.list`.

mod nginx;
mod openssl;
mod statistics;

pub(crate) use nginx::{DECLARATIONS, Hosts};
pub use statistics::Statistics;

/// A function whose type only its caller knows.
type Function = unsafe extern "C" fn();

/// Where a function is; `None` when there is none of that name.
pub(crate) fn address(name: &[u8]) -> Option<usize> {
    // The list of nginx's is looked at first so that it is in every program that has a VM.
    let found = nginx::FUNCTIONS.iter().chain(openssl::FUNCTIONS).find(|(own, _)| own.as_bytes() == name);
    found
        .map(|(_, function)| *function as usize)
        .or_else(|| (name == b"EVP_PKEY_CTX_ctrl").then_some(openssl::OWN as usize))
}
