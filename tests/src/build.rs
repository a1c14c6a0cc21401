//! Owns where the library, the examples and the test programs are, and builds what is not there. Knows nothing of how
//! they are run.
//!
//! `cargo xtask test` builds the library and the examples first and says where they are in `REACTOR_ROOT`,
//! `REACTOR_LIB_DIR` and `REACTOR_EXAMPLES_DIR`. Without those, a plain `cargo test` builds them here, once a process.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::{env, fs};

/// What a test program is made of beside its own file.
const HOST_SOURCE: &str = "host.c";

struct Places {
    root: PathBuf,
    library: PathBuf,
    /// `None`: nobody has built the examples for us.
    examples: Option<PathBuf>,
}

/// The path of an example of `examples/c`, built.
pub(crate) fn example(name: &str) -> PathBuf {
    let places = places();
    match &places.examples {
        Some(folder) => folder.join(name),
        None => once(name, || {
            let source = places.root.join(format!("examples/c/{name}.c"));
            compile(&places.root.join("target/examples-c").join(name), &[source])
        }),
    }
}

/// The path of a program of `tests/c`, built.
pub(crate) fn test_program(name: &str) -> PathBuf {
    let places = places();
    once(&format!("tests/{name}"), || {
        let folder = places.root.join("tests/c");
        let sources = [folder.join(format!("{name}.c")), folder.join(HOST_SOURCE)];
        compile(&places.root.join("target/tests-c").join(name), &sources)
    })
}

/// The root of the repository.
///
/// # Panics
/// Where it is gone.
#[must_use]
pub fn root() -> &'static Path {
    static ROOT: OnceLock<PathBuf> = OnceLock::new();
    ROOT.get_or_init(|| {
        env::var_os("REACTOR_ROOT")
            .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join(".."), PathBuf::from)
            .canonicalize()
            .expect("the workspace that this test was built in still exists")
    })
}

fn places() -> &'static Places {
    static PLACES: OnceLock<Places> = OnceLock::new();
    PLACES.get_or_init(|| {
        let root = root().to_path_buf();
        let examples = env::var_os("REACTOR_EXAMPLES_DIR").map(PathBuf::from);
        let library = env::var_os("REACTOR_LIB_DIR").map_or_else(|| build_library(&root), PathBuf::from);
        Places { root, library, examples }
    })
}

fn build_library(root: &Path) -> PathBuf {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let target = root.join("target");
    let mut command = Command::new(cargo);
    command
        .current_dir(root)
        .args(["build", "--quiet", "--release", "-p", "reactor-capi", "--target-dir"])
        .arg(&target);
    run(&mut command);
    target.join("release")
}

/// Builds each thing once, while tests that want another build theirs.
fn once(name: &str, build: impl FnOnce() -> PathBuf) -> PathBuf {
    static BUILT: OnceLock<Mutex<HashMap<String, Arc<OnceLock<PathBuf>>>>> = OnceLock::new();
    let mut built = BUILT.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
    let cell = Arc::clone(built.entry(name.to_owned()).or_default());
    drop(built);
    cell.get_or_init(build).clone()
}

/// Compiles `sources` against the public header and the release library. The program appears whole or not at all, so
/// that another process that builds or runs it at this moment is not disturbed.
fn compile(program: &Path, sources: &[PathBuf]) -> PathBuf {
    let places = places();
    let folder = program.parent().expect("a program is built in a folder under target");
    fs::create_dir_all(folder).expect("target is ours to write to");
    let unfinished = program.with_extension(std::process::id().to_string());

    // As an old DT_RPATH, which comes before LD_LIBRARY_PATH (ld.so(8)): cargo puts the folder of the debug library there.
    let mut rpath = OsString::from("-Wl,--disable-new-dtags,-rpath,");
    rpath.push(&places.library);
    let mut command = Command::new(env::var_os("CC").unwrap_or_else(|| "cc".into()));
    command.args(["-O1", "-g", "-Wall", "-Wextra", "-pthread"]);
    command.arg("-I").arg(places.root.join("include")).args(sources);
    command.arg("-L").arg(&places.library).arg("-lreactor").arg(rpath).arg("-o").arg(&unfinished);
    run(&mut command);
    fs::rename(&unfinished, program).expect("cc has just written the file");
    program.to_path_buf()
}

/// Runs a command to its end, which is to be a good one.
pub(crate) fn run(command: &mut Command) {
    let status = command.status().unwrap_or_else(|error| panic!("running {command:?}: {error}"));
    assert!(status.success(), "{command:?}: {status}");
}
