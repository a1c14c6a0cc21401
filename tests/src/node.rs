//! Owns how the programs of the Node package are started: which file a name stands for, and that the package is built.
//! Knows nothing of what they serve.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use crate::build::{root, run};
use crate::modes::Mode;

/// The program that stands for the example of this name: that of `tests/node`, where the one in `examples/node` is not
/// there or says other words than the one in C; else the example. Where the handler is to be a module, and the example has
/// none: NAME_module of `tests/node`, which is the same with one.
pub(crate) fn example(mode: Mode, name: &str) -> Command {
    let own = root().join(format!("tests/node/{name}.mjs"));
    let with_module = root().join(format!("tests/node/{name}_module.mjs"));
    let example = root().join(format!("examples/node/{name}.mjs"));
    node(match mode.is_node_module() {
        _ if own.exists() => &own,
        true if with_module.exists() => &with_module,
        _ => &example,
    })
}

/// The program of `examples/node` itself, whatever stands for it in `tests/node`.
pub(crate) fn own_example(name: &str) -> Command {
    node(&root().join(format!("examples/node/{name}.mjs")))
}

/// A program of `tests/node`, its descriptors limited to so many, if given.
pub(crate) fn test_program(name: &str, descriptors: Option<&str>) -> Command {
    let program = root().join(format!("tests/node/{name}.mjs"));
    let Some(limit) = descriptors else { return node(&program) };
    // Node cannot lower its own limit.
    let mut command = Command::new("sh");
    command.args(["-c", r#"ulimit -n "$0" && exec node "$@""#, limit]).arg(package_is_built(&program));
    command
}

fn node(program: &Path) -> Command {
    let mut command = Command::new("node");
    command.arg(package_is_built(program));
    command
}

/// `program`, once the package is there. `cargo xtask test` builds it before the tests; a plain `cargo test` builds it
/// here, once a process.
///
/// # Panics
/// Where there is no Node.js: a test that was not run must not count as passed.
fn package_is_built(program: &Path) -> PathBuf {
    static BUILT: OnceLock<()> = OnceLock::new();
    BUILT.get_or_init(|| {
        let found = Command::new("node").arg("--version").stdout(Stdio::null()).status();
        assert!(
            found.is_ok_and(|status| status.success()),
            "NOT RUN: there is no program `node`, and this scenario is for the Node package; install Node.js 20 or newer, \
             or leave these tests out by `--skip node_`"
        );
        let package = root().join("bindings/node");
        if env::var_os("REACTOR_LIB_DIR").is_none() || !package.join("reactor.node").exists() {
            run(Command::new("node").current_dir(package).arg("scripts/install.js").stdout(Stdio::null()));
        }
    });
    program.to_path_buf()
}
