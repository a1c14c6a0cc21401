//! Builds the servers that are measured and the load generator, as far as what they need is installed. Starts none.

use std::path::Path;
use std::process::{Command, Stdio};
use std::{env, fs};

use anyhow::{Context, Result, bail};

use crate::bench::programs::Programs;
use crate::build;
use crate::node_package;
use crate::process;
use crate::tools;
use crate::workspace::Workspace;

const LIBUV: &str = "libuv is missing: install its development files (Debian: the package libuv1-dev; Fedora: \
                     libuv-devel; macOS: brew install libuv)";

impl Programs {
    /// Builds what can be built, the peers and the Node package only where they are wanted; without `build`, finds what
    /// has been built before.
    pub(crate) fn prepare(workspace: &Workspace, build: bool, with_peers: bool) -> Result<Programs> {
        let release = workspace.lib_dir();
        let folder = release.parent().unwrap_or(&release).join("bench");
        fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        let mut programs = Programs {
            root: workspace.root.clone(),
            folder,
            release,
            examples: workspace.examples_dir(),
            no_uv: None,
            no_node: tools::node(workspace).err().map(|error| error.to_string()),
            no_piscina: None,
            no_wrk: missing("wrk", "-v", "install wrk (Debian, Fedora: the package wrk; macOS: brew install wrk)"),
            can_pin: missing("taskset", "--version", "").is_none(),
            dies_with_us: missing("setpriv", "--version", "").is_none(),
        };
        if build {
            println!("building the servers and the load generator");
            build::c(workspace)?;
            let packages = ["build", "--release", "-p", "reactor-load", "-p", "reactor-peers"];
            process::run(&mut tools::cargo(workspace, packages))?;
        }
        programs.compile(workspace, build)?;
        if build && with_peers && programs.no_node.is_none() {
            node_package::build(workspace)?;
            programs.no_piscina = fetch_piscina(workspace).err().map(|error| format!("{error:#}"));
        }
        Ok(programs)
    }

    fn compile(&mut self, workspace: &Workspace, build: bool) -> Result<()> {
        let uv = Command::new("pkg-config").args(["--cflags", "--libs", "libuv"]).output();
        let uv = uv.ok().filter(|output| output.status.success());
        let uv = uv.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
        if uv.is_none() {
            self.no_uv = Some(LIBUV.into());
        }
        if !build {
            return Ok(());
        }
        let release = self.release.display();
        let reactor = format!("-Iinclude -L{release} -lreactor -Wl,-rpath,{release} -Wl,--disable-new-dtags");
        self.compile_one(workspace, "benchmarks/peers/c/raw.c", "-pthread")?;
        self.compile_one(workspace, "benchmarks/ours/server.c", &reactor)?;
        if let Some(uv) = uv {
            self.compile_one(workspace, "benchmarks/peers/c/uv.c", &uv)?;
            self.compile_one(workspace, "benchmarks/peers/c/uv-pool.c", &uv)?;
        }
        Ok(())
    }

    fn compile_one(&self, workspace: &Workspace, source: &str, flags: &str) -> Result<()> {
        let mut cc = tools::cc(workspace)?;
        cc.args(["-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-o"]);
        cc.arg(self.folder.join(Path::new(source).file_stem().unwrap_or_default())).arg(source);
        cc.args(flags.split_whitespace());
        process::run(&mut cc)
    }
}

/// Installs what benchmarks/peers/node/package-lock.json names.
fn fetch_piscina(workspace: &Workspace) -> Result<()> {
    let folder = workspace.root.join("benchmarks/peers/node");
    let left = folder.join("node_modules/.package-lock.json");
    let modified = |path: &Path| fs::metadata(path).and_then(|metadata| metadata.modified());
    if let (Ok(left), Ok(wanted)) = (modified(&left), modified(&folder.join("package-lock.json")))
        && left >= wanted
    {
        return Ok(());
    }
    let mut npm = tools::npm(workspace)?;
    npm.current_dir(&folder).args(["ci", "--ignore-scripts", "--prefer-offline", "--fetch-retries=1"]);
    process::run(&mut npm).context("fetching piscina; it needs the npm registry, or a cache of npm that has it")
}

/// The remedy, if there is no such program.
fn missing(program: &str, probe: &str, remedy: &str) -> Option<String> {
    let status = Command::new(program).arg(probe).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_err().then(|| format!("there is no program `{program}`: {remedy}"))
}

/// Two cores at least: servers and load share one otherwise, and no figure means anything.
pub(super) fn check_machine() -> Result<()> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    if cores < 2 {
        bail!("measuring takes two cores, and {} has {cores}", env::consts::OS);
    }
    Ok(())
}
