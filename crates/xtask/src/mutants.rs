//! `cargo xtask mutants`: puts back each fault of RELIABILITY.md, section 3, in a copy of the tree, and sees that the test
//! which is to catch it goes red. Never touches the tree itself.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::loom;
use crate::process;
use crate::suites;
use crate::table::table;
use crate::workspace::{Workspace, files_in};

/// A test that neither passes nor fails in this time has been caught by it.
const TEST_LIMIT: Duration = Duration::from_secs(120);
const BUILD_LIMIT: Duration = Duration::from_secs(400);
/// What the copy needs of the tree.
const COPIED: [&str; 9] =
    ["Cargo.toml", "Cargo.lock", "crates", "bindings", "tests", "include", "examples", "clients", "benchmarks"];
/// What is built or installed within those.
const LEFT_OUT: [&str; 4] = ["target", "node_modules", "native", ".git"];

/// Which faults.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only patches of tests/mutants with this in their name
    filter: Option<String>,
}

/// One patch: what it breaks, and the test that is to notice.
struct Mutant {
    name: String,
    path: PathBuf,
    fault: String,
    test: Vec<String>,
    /// The test is a loom model: a real run meets the fault too seldom, or goes on after a while.
    by_models: bool,
}

/// What became of one.
enum Outcome {
    Red(String),
    Green,
    Unusable(String),
}

/// The tree's copy and the folder that it is built in.
struct Copy {
    root: PathBuf,
    target: PathBuf,
}

/// Puts in each fault in turn; an error unless the test of each goes red.
pub(crate) fn run(workspace: &Workspace, args: &Args) -> Result<()> {
    let mutants = mutants(workspace, args.filter.as_deref())?;
    let folder = workspace.mutants_dir();
    let copy = Copy { root: folder.join("tree"), target: folder.join("target") };
    copy.refresh(workspace)?;
    let mut rows = vec![["fault", "test", ""].map(String::from).to_vec()];
    let mut faults = Vec::new();
    for mutant in &mutants {
        println!("== {}: {}", mutant.name, mutant.fault);
        let outcome = copy.try_out(mutant)?;
        copy.refresh(workspace)?;
        let (word, wrong) = match outcome {
            Outcome::Red(how) => (format!("red: {how}"), false),
            Outcome::Green => ("GREEN".to_owned(), true),
            Outcome::Unusable(why) => (format!("UNUSABLE: {why}"), true),
        };
        println!("{word}");
        if wrong {
            faults.push(format!("{}: {word}", mutant.name));
        }
        rows.push(vec![mutant.fault.clone(), mutant.test.join(" "), word]);
    }
    println!("\n{}\n", table(&rows));
    if !faults.is_empty() {
        bail!("{}", faults.join("; "));
    }
    println!("xtask mutants: each of {} faults was caught", mutants.len());
    Ok(())
}

/// Whether each patch still applies to the tree, without applying it.
pub(crate) fn check_patches(workspace: &Workspace) -> Result<()> {
    let mut stale = Vec::new();
    for mutant in mutants(workspace, None)? {
        let mut git = Command::new("git");
        git.args(["apply", "--check"]).arg(&mutant.path).current_dir(&workspace.root);
        match git.output() {
            Ok(output) if output.status.success() => {}
            Ok(output) => stale.push(format!("{}: {}", mutant.name, String::from_utf8_lossy(&output.stderr).trim())),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                println!("there is no program `git`: nothing to check with");
                return Ok(());
            }
            Err(error) => return Err(error).context("running git apply --check"),
        }
    }
    if !stale.is_empty() {
        bail!("{}", stale.join("\n    "));
    }
    Ok(())
}

fn mutants(workspace: &Workspace, filter: Option<&str>) -> Result<Vec<Mutant>> {
    let mut mutants = Vec::new();
    for path in files_in(&workspace.root.join("tests/mutants"), ".patch")? {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if filter.is_some_and(|filter| !name.contains(filter)) {
            continue;
        }
        let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        let line = |prefix: &str| {
            let found = text.lines().find_map(|line| line.strip_prefix(prefix));
            found.map(str::to_owned).with_context(|| format!("no line `{prefix}` in {}", path.display()))
        };
        let (by_models, test) = match line("Model: ") {
            Ok(model) => (true, format!("-p reactor-core --lib {model}")),
            Err(_) => (false, line("Test: ")?),
        };
        let test = test.split_whitespace().map(str::to_owned).collect();
        mutants.push(Mutant { name, fault: line("Fault: ")?, test, by_models, path });
    }
    if mutants.is_empty() {
        bail!("no patch of tests/mutants has that in its name");
    }
    Ok(mutants)
}

impl Copy {
    /// Makes the copy like the tree again, and touches no file that is: cargo goes by the time of a file.
    fn refresh(&self, workspace: &Workspace) -> Result<()> {
        fs::create_dir_all(&self.root).with_context(|| format!("making {}", self.root.display()))?;
        for name in COPIED {
            let from = workspace.root.join(name);
            if from.exists() {
                copy_changed(&from, &self.root.join(name))?;
            }
        }
        Ok(())
    }

    fn try_out(&self, mutant: &Mutant) -> Result<Outcome> {
        let patched = Command::new("patch")
            .args(["-p1", "--batch", "--no-backup-if-mismatch", "--reject-file=-", "-i"])
            .arg(&mutant.path)
            .current_dir(&self.root)
            .output()
            .context("running `patch`: install it (Debian: the package patch)")?;
        if !patched.status.success() {
            let said = String::from_utf8_lossy(&patched.stdout).into_owned();
            return Ok(Outcome::Unusable(format!("the patch no longer applies: {}", said.trim())));
        }
        let builds = [self.cargo(&["build", "-p", "reactor-capi"]), self.test(mutant, &["--no-run"])];
        for mut build in builds {
            if !limited(&mut build, BUILD_LIMIT)?.is_some_and(|status| status.success()) {
                return Ok(Outcome::Unusable(format!("it does not build: `{}`", process::shown(&build))));
            }
        }
        let status = limited(&mut self.test(mutant, &[]), TEST_LIMIT)?;
        Ok(match status {
            Some(status) if status.success() => Outcome::Green,
            Some(status) => Outcome::Red(status.to_string()),
            None => Outcome::Red(format!("no end within {TEST_LIMIT:?}")),
        })
    }

    fn cargo(&self, arguments: &[&str]) -> Command {
        let mut cargo = Command::new("cargo");
        cargo.args(arguments).arg("--quiet").current_dir(&self.root).env("CARGO_TARGET_DIR", &self.target);
        cargo
    }

    fn test(&self, mutant: &Mutant, more: &[&str]) -> Command {
        let mut command = self.cargo(&["test"]);
        command.args(&mutant.test).args(more);
        if mutant.by_models {
            loom::with_models(&mut command, &self.target.join("loom"));
        }
        suites::against(&mut command, &self.root, &self.target.join("debug"));
        command.env_remove("REACTOR_EXAMPLES_DIR").env("RUST_BACKTRACE", "0");
        command
    }
}

/// Runs it quietly; `None` where it was not done in time, and it and all that it started were killed.
fn limited(command: &mut Command, limit: Duration) -> Result<Option<ExitStatus>> {
    let named = process::shown(command);
    command.process_group(0).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().with_context(|| format!("starting `{named}`"))?;
    let deadline = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait().with_context(|| format!("waiting for `{named}`"))? {
            return Ok(Some(status));
        }
        if Instant::now() >= deadline {
            let group = Pid::from_raw(i32::try_from(child.id()).context("a process id beyond pid_t")?);
            // Fails only where all of them have ended at this moment.
            let _ = killpg(group, Signal::SIGKILL);
            child.wait().with_context(|| format!("waiting for `{named}`"))?;
            return Ok(None);
        }
        // std has no wait with a time limit.
        thread::sleep(Duration::from_millis(50));
    }
}

/// Copies what differs, and removes what is no longer there.
fn copy_changed(from: &Path, to: &Path) -> Result<()> {
    let failed = |what: &str, path: &Path| format!("{what} {}", path.display());
    if from.is_dir() {
        fs::create_dir_all(to).with_context(|| failed("making", to))?;
        for entry in fs::read_dir(from).with_context(|| failed("listing", from))? {
            let name = entry.with_context(|| failed("listing", from))?.file_name();
            if !LEFT_OUT.iter().any(|left| name == *left) {
                copy_changed(&from.join(&name), &to.join(&name))?;
            }
        }
        for entry in fs::read_dir(to).with_context(|| failed("listing", to))? {
            let path = entry.with_context(|| failed("listing", to))?.path();
            if path.is_file() && !from.join(path.file_name().unwrap_or_default()).exists() {
                fs::remove_file(&path).with_context(|| failed("removing", &path))?;
            }
        }
        return Ok(());
    }
    let bytes = fs::read(from).with_context(|| failed("reading", from))?;
    if fs::read(to).ok().as_ref() != Some(&bytes) {
        fs::write(to, bytes).with_context(|| failed("writing", to))?;
    }
    Ok(())
}
