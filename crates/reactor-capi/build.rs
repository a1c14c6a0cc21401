//! Owns how the shared library is linked: its SONAME, and that it is never unloaded. Knows nothing of what is in it.

use std::env;
use std::path::Path;

/// Changes when programs linked with an older library can no longer run with this one.
const SONAME: &str = "libreactor.so.0";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if env::var("CARGO_CFG_TARGET_OS").as_deref() != Ok("linux") {
        return;
    }
    println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,{SONAME}");
    // A callback that never returns keeps a thread of the library running after reactor_free: its code must outlive
    // dlclose (ld(1), -z nodelete).
    println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
    link_soname();
}

/// Programs linked with `-lreactor` look for the SONAME when they start, and cargo writes `libreactor.so` alone: without
/// a link beside it, none would start from the build folder.
fn link_soname() {
    let Ok(out_dir) = env::var("OUT_DIR") else { return };
    // OUT_DIR is PROFILE/build/PACKAGE-HASH/out.
    let Some(profile_dir) = Path::new(&out_dir).ancestors().nth(3) else { return };
    let link = profile_dir.join(SONAME);
    #[cfg(unix)]
    if let Err(error) = std::os::unix::fs::symlink("libreactor.so", &link)
        && error.kind() != std::io::ErrorKind::AlreadyExists
    {
        println!("cargo::warning=linking {} to libreactor.so: {error}", link.display());
    }
    #[cfg(not(unix))]
    let _ = link;
}
