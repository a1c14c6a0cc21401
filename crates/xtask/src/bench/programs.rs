//! The servers that are measured, ours and the peers: what each is called, and how it is started. Knows nothing of load
//! or figures, and builds nothing.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

const PINNED_CORE: &str = "0";

/// What the server does with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// Gives it back.
    Echo,
    /// Gives it back, after so many iterations of JavaScript.
    Compute(u64),
    /// Gives it back, after the time that the request asks for, if it does.
    Marked,
    /// Answers a request head with a fixed 200.
    Http,
}

/// One server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Program {
    /// Bare epoll loops.
    Raw {
        loops: u32,
    },
    Uv,
    /// With so many threads.
    UvPool {
        threads: u32,
    },
    DemoSingle,
    /// With a compute step of so many ms.
    DemoPooled {
        compute_ms: u32,
    },
    NodeNet,
    Piscina,
    Cluster,
    /// Ours, from C.
    Single,
    Pooled {
        workers: u32,
    },
    /// Ours, the example with a compute step of 100 ms and 12 workers.
    PooledExample,
    Multi {
        reactors: u32,
    },
    /// Ours, from Node.js, a function.
    Function,
    /// Ours, from Node.js, a module on two workers.
    Module,
}

impl Program {
    /// What tables call it.
    pub(crate) fn name(self) -> String {
        match self {
            Program::Raw { loops: 1 } => "raw".into(),
            Program::Raw { loops } => format!("raw, {loops} loops"),
            Program::Uv => "libuv".into(),
            Program::UvPool { threads } => format!("libuv pool of {threads}"),
            Program::DemoSingle => "single-threaded demo".into(),
            Program::DemoPooled { .. } => "pooled demo".into(),
            Program::NodeNet => "node net".into(),
            Program::Piscina => "piscina".into(),
            Program::Cluster => "cluster".into(),
            Program::Single => "SINGLE".into(),
            Program::Pooled { workers } => format!("POOLED, {workers} workers"),
            Program::PooledExample => "POOLED, 12 workers".into(),
            Program::Multi { reactors } => format!("MULTI, {reactors} reactors"),
            Program::Function => "function handler".into(),
            Program::Module => "module handler".into(),
        }
    }

    /// What the server prints before its address, once it serves.
    pub(crate) fn ready(self) -> &'static str {
        match self {
            // Its processes say the usual line each.
            Program::Cluster => "serving ",
            _ => "listening on ",
        }
    }

    fn needs_uv(self) -> bool {
        matches!(self, Program::Uv | Program::UvPool { .. })
    }

    /// Whether it runs on Node.js.
    pub(crate) fn needs_node(self) -> bool {
        matches!(self, Program::NodeNet | Program::Piscina | Program::Cluster | Program::Function | Program::Module)
    }
}

/// Where the built programs are, and what could not be built.
pub(crate) struct Programs {
    pub(super) root: PathBuf,
    /// C programs.
    pub(super) folder: PathBuf,
    pub(super) release: PathBuf,
    pub(super) examples: PathBuf,
    pub(super) no_uv: Option<String>,
    pub(super) no_node: Option<String>,
    pub(super) no_piscina: Option<String>,
    pub(crate) no_wrk: Option<String>,
    pub(super) can_pin: bool,
    pub(super) dies_with_us: bool,
}

impl Programs {
    /// Where they are; files of a run may go there, too.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn has_node(&self) -> bool {
        self.no_node.is_none()
    }

    /// Why a server cannot be run here, and what to do about it.
    pub(crate) fn missing(&self, program: Program) -> Option<&str> {
        let uv = if program.needs_uv() { self.no_uv.as_deref() } else { None };
        let node = if program.needs_node() { self.no_node.as_deref() } else { None };
        let piscina = if program == Program::Piscina { self.no_piscina.as_deref() } else { None };
        uv.or(node).or(piscina)
    }

    /// The command that serves such work at a free port.
    pub(crate) fn server(&self, program: Program, work: Work, pinned: bool) -> Command {
        let (path, args) = self.line(program, work);
        let mut command = self.placed(&path, pinned.then_some(PINNED_CORE));
        command.args(args);
        if let Program::UvPool { threads } = program {
            command.env("UV_THREADPOOL_SIZE", threads.to_string());
        }
        command
    }

    fn line(&self, program: Program, work: Work) -> (PathBuf, Vec<String>) {
        let number = match work {
            Work::Compute(iterations) => iterations.to_string(),
            Work::Marked => "marked".into(),
            Work::Echo | Work::Http => "0".into(),
        };
        let word = match work {
            Work::Http => "http",
            Work::Marked => "marked",
            Work::Echo | Work::Compute(_) => "echo",
        };
        let c = |name: &str, args: &[&str]| (self.folder.join(name), strings(args));
        let rust = |name: &str, args: &[&str]| (self.release.join(name), strings(args));
        let node = |script: &str, args: &[&str]| {
            let script = self.root.join("benchmarks").join(script).display().to_string();
            (PathBuf::from("node"), [vec![script], strings(args)].concat())
        };
        match program {
            Program::Raw { loops } => c("raw", &["0", word, &loops.to_string()]),
            Program::Uv => c("uv", &["0", word]),
            Program::UvPool { .. } => c("uv-pool", &["0", "echo", "0"]),
            Program::DemoSingle => rust("demo-single", &["127.0.0.1:0"]),
            Program::DemoPooled { compute_ms } => rust("demo-pooled", &["127.0.0.1:0", &compute_ms.to_string()]),
            Program::NodeNet => node("peers/node/net.mjs", &["0", &number]),
            Program::Piscina => node("peers/node/piscina.mjs", &["0", &number]),
            Program::Cluster => node("peers/node/cluster.mjs", &["0", &number]),
            Program::Single => c("server", &["0", "single", word]),
            Program::Pooled { workers } => c("server", &["0", "pooled", word, "--workers", &workers.to_string()]),
            Program::PooledExample => (self.examples.join("echo"), strings(&["--addr", "127.0.0.1:0"])),
            Program::Multi { reactors } => c("server", &["0", "multi", word, "--reactors", &reactors.to_string()]),
            Program::Function => node("ours/server.mjs", &["0", "function", &number]),
            Program::Module => node("ours/server.mjs", &["0", "module", &number]),
        }
    }

    /// The same to be run by another program, which is given this one's words.
    pub(crate) fn words(&self, program: Program, work: Work) -> Vec<String> {
        let (path, args) = self.line(program, work);
        [vec![path.display().to_string()], args].concat()
    }

    /// The load generator.
    pub(crate) fn load(&self, pinned: bool) -> Command {
        self.placed(&self.release.join("reactor-load"), pinned.then_some("1"))
    }

    /// wrk, which is not ours.
    pub(crate) fn wrk(&self, pinned: bool) -> Command {
        self.placed(Path::new("wrk"), pinned.then_some("1"))
    }

    /// A command that runs on one core, if one is named, and is killed if we end first. The programs that see to that
    /// become the one they start, so the process id is its.
    pub(crate) fn placed(&self, program: &Path, core: Option<&str>) -> Command {
        let mut words = Vec::new();
        if self.dies_with_us {
            words.extend(["setpriv", "--pdeathsig", "KILL"].map(String::from));
        }
        if let (Some(core), true) = (core, self.can_pin) {
            words.extend(["taskset", "-c", core].map(String::from));
        }
        words.push(program.display().to_string());
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).current_dir(&self.root);
        command
    }

    /// How many iterations of the compute step take a microsecond here, right now.
    pub(crate) fn iterations_per_us(&self) -> Result<f64> {
        let output = Command::new("node").arg(self.root.join("benchmarks/compute.mjs")).output();
        let output = output.context("running benchmarks/compute.mjs")?;
        let text = String::from_utf8_lossy(&output.stdout);
        let number = text.trim().strip_prefix("iterations_per_us ").and_then(|number| number.parse().ok());
        number.with_context(|| format!("benchmarks/compute.mjs printed `{}`", text.trim()))
    }
}

fn strings(words: &[&str]) -> Vec<String> {
    words.iter().map(ToString::to_string).collect()
}
