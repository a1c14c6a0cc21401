//! `cargo xtask install`: the C library where programs look for it, with what they need to build: header, both libraries,
//! the links of the shared one, and `reactor.pc`. Knows nothing of how they are built.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf, absolute};

use anyhow::{Context, Result, bail};

use crate::build;
use crate::workspace::Workspace;

/// As crates/reactor-capi/build.rs has it.
const SONAME: &str = "libreactor.so.0";
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// What the static library needs beside itself: what `rustc --print native-static-libs` says on Linux, less what a C
/// compiler links by itself or glibc has had in its libc since 2.34 and keeps empty archives of.
const STATIC_LIBS: &str = "-lgcc_s -lrt -lpthread -lm -ldl";

const PROGRAM_MODE: u32 = 0o755;
const FILE_MODE: u32 = 0o644;

/// Where to.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The folder that gets include, lib and lib/pkgconfig
    #[arg(long, default_value = "/usr/local")]
    prefix: PathBuf,
    /// A folder to put all of it under, for one who makes a package of it; reactor.pc names the prefix without it
    #[arg(long)]
    destdir: Option<PathBuf>,
}

/// Builds the release library, then copies; what is there from an earlier version is replaced, and programs that run with
/// it keep theirs.
pub(crate) fn run(workspace: &Workspace, args: &Args) -> Result<()> {
    if !cfg!(target_os = "linux") {
        bail!("only Linux's names and links of a shared library are known here");
    }
    let prefix = absolute(&args.prefix).with_context(|| format!("the prefix {}", args.prefix.display()))?;
    let text = pkg_config(&prefix)?;
    build::library(workspace)?;

    let top = match &args.destdir {
        Some(destdir) => destdir.join(prefix.strip_prefix("/").unwrap_or(&prefix)),
        None => prefix.clone(),
    };
    let lib = top.join("lib");
    for folder in [top.join("include"), lib.join("pkgconfig")] {
        fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    }
    let whole_name = format!("libreactor.so.{VERSION}");
    let read = |path: PathBuf| fs::read(&path).with_context(|| format!("reading {}", path.display()));
    place(&top.join("include/reactor.h"), &read(workspace.root.join("include/reactor.h"))?, FILE_MODE)?;
    place(&lib.join("libreactor.a"), &read(workspace.lib_dir().join("libreactor.a"))?, FILE_MODE)?;
    place(&lib.join(&whole_name), &read(workspace.library())?, PROGRAM_MODE)?;
    // Programs start with the one of these names, and are linked with the other.
    link(&lib.join(SONAME), &whole_name)?;
    link(&lib.join("libreactor.so"), SONAME)?;
    place(&lib.join("pkgconfig/reactor.pc"), text.as_bytes(), FILE_MODE)
}

/// What pkg-config reads.
fn pkg_config(prefix: &Path) -> Result<String> {
    let shown = prefix.to_str().filter(|shown| !shown.contains(|c: char| c.is_whitespace() || "\"'\\$#".contains(c)));
    let shown = shown.with_context(|| format!("the prefix {}: not as reactor.pc can name it", prefix.display()))?;
    Ok(format!(
        "prefix={shown}
libdir=${{prefix}}/lib
includedir=${{prefix}}/include

Name: reactor
Description: A TCP server in a library: one function, bytes in and bytes out
Version: {VERSION}
Libs: -L${{libdir}} -lreactor
Libs.private: {STATIC_LIBS}
Cflags: -I${{includedir}}
"
    ))
}

/// A file is there whole or not at all, and never written over: a program may have the one of that name mapped.
fn place(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    let next = beside(path);
    let written = fs::write(&next, bytes)
        .and_then(|()| fs::set_permissions(&next, fs::Permissions::from_mode(mode)))
        .and_then(|()| fs::rename(&next, path));
    written.with_context(|| format!("writing {}", path.display()))?;
    println!("{}", path.display());
    Ok(())
}

fn link(path: &Path, to: &str) -> Result<()> {
    let next = beside(path);
    // It may be there from one that was interrupted.
    let _ = fs::remove_file(&next);
    let linked = symlink(to, &next).and_then(|()| fs::rename(&next, path));
    linked.with_context(|| format!("linking {}", path.display()))?;
    println!("{} -> {to}", path.display());
    Ok(())
}

fn beside(path: &Path) -> PathBuf {
    path.with_file_name(format!(".reactor.{}", std::process::id()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soname_is_that_of_the_library() {
        let script = include_str!("../../reactor-capi/build.rs");
        assert!(script.contains(&format!("const SONAME: &str = \"{SONAME}\";")));
    }

    #[test]
    fn a_prefix_that_pkg_config_would_read_otherwise_is_refused() {
        assert!(pkg_config(Path::new("/opt/reactor")).is_ok_and(|text| text.starts_with("prefix=/opt/reactor\n")));
        for prefix in ["/opt/a b", "/opt/$x", "/opt/#"] {
            assert!(pkg_config(Path::new(prefix)).is_err(), "{prefix}");
        }
    }
}
