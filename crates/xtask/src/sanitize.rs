//! `cargo xtask sanitize address|thread|memcheck`: the C suite with the library and its hosts under a sanitizer. A fault that
//! was put in comes first, and has to be reported. Knows nothing of what the suites show.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process;
use crate::steps::Steps;
use crate::suites;
use crate::tools;
use crate::workspace::{Workspace, files_in};

/// The C programs of `tests/c`, beside the examples, are what these drive. Not: suites that count system calls or name
/// threads, and those with a shim or a load of their own.
const SUITES: [&str; 14] = [
    "callbacks",
    "delimiter",
    "echo",
    "end_of_input",
    "examples",
    "examples_push",
    "hostile",
    "limits",
    "peer_ends",
    "peer_flow",
    "peer_writes",
    "replies",
    "resets",
    "stop",
];

/// What these look at is not the host's affair, or differs under a tool: processor time, starved descriptors.
const SKIPPED: [&str; 7] =
    ["node", "costs_nothing", "rests", "descriptor", "huge_transfer", "without_reading", "goes_back_to_the_system"];

/// ThreadSanitizer does not see what orders the accesses in these files, for std is not built with it: its Mutex where a
/// thread had to wait, its channels, and the fence at the end of an Arc. Reports in which one side stands in them are set
/// aside, and counted; what is behind those locks is the business of the loom models.
const UNSEEN_LOCKS: [&str; 13] = [
    "crew.rs",
    "mailbox.rs",
    "output.rs",
    "requests.rs",
    "run.rs",
    "server.rs",
    "shared.rs",
    "slots.rs",
    "stats.rs",
    "workers.rs",
    "event_loop/lifecycle.rs",
    "event_loop/mail.rs",
    "reactor-capi/src/reactor.rs",
];

/// What is made in these goes to another thread of the library by such a lock. Their bytes come from the host: where it is
/// the other side, the report stands.
const HANDED_OVER: [&str; 2] = ["handler.rs", "push.rs"];

/// Which one.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// What to look for
    #[arg(value_enum)]
    kind: Kind,
    /// Only tests with this in their name
    filter: Option<String>,
}

/// The sanitizers.
#[derive(Clone, Copy, clap::ValueEnum)]
enum Kind {
    /// `AddressSanitizer` with `LeakSanitizer`
    Address,
    /// `ThreadSanitizer`
    Thread,
    /// valgrind's memcheck
    Memcheck,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Address => "address",
            Kind::Thread => "thread",
            Kind::Memcheck => "memcheck",
        }
    }

    /// The compiler of the hosts, or what they run under.
    fn needs(self) -> &'static str {
        match self {
            Kind::Address => "gcc",
            Kind::Thread => "clang",
            Kind::Memcheck => "valgrind",
        }
    }

    /// What is put in first, as `tests/c/peer_seeded_fault.c` names it, and what its report has to say.
    fn seeded(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Kind::Address => &[("heap", "heap-use-after-free"), ("leak", "detected memory leaks")],
            Kind::Thread => &[("race", "peer_seeded_fault.c")],
            Kind::Memcheck => &[("heap", "Invalid read"), ("leak", "definitely lost")],
        }
    }
}

/// Where everything of one sanitizer lies.
struct Places {
    kind: Kind,
    folder: PathBuf,
    lib_dir: PathBuf,
}

/// Builds, shows that the sanitizer is on, runs the suites, and looks for reports.
pub(crate) fn run(workspace: &Workspace, args: &Args) -> Result<()> {
    let places = prepare(workspace, args.kind)?;
    for (variant, says) in args.kind.seeded() {
        seeded_fault_is_reported(workspace, &places, variant, says)?;
    }
    places.forget_reports()?;

    let mut steps = Steps::new("xtask sanitize", "suites");
    let mut suites = suites::end_to_end(workspace, &SUITES);
    suites::against(&mut suites, &places.root(), &places.lib_dir);
    suites.env_remove("REACTOR_EXAMPLES_DIR").env("CC", places.compiler());
    places.environment(&mut suites);
    // One at a time: a host under a tool takes several times its time, and the tests have deadlines.
    suites.args(["--", "--test-threads=1"]).args(&args.filter);
    suites.args(SKIPPED.iter().flat_map(|name| ["--skip", name]));
    if matches!(args.kind, Kind::Memcheck) {
        // In the child it misses what only the parent's threads know of, and ends with a status of its own.
        suites.args(["--skip", "a_fork"]);
    }
    if matches!(args.kind, Kind::Thread) {
        // They count descriptors, and the report, false or not, is a file that stays open.
        suites.args(["--skip", "before_the_first_connection", "--skip", "many_servers"]);
        // It makes pthread_create fail, which the sanitizer has replaced.
        suites.args(["--skip", "gets_no_thread"]);
    }
    steps.command(args.kind.name(), Ok(suites));
    steps.step("no report", "the first of the files named above", || places.expect_no_reports());
    steps.finish()
}

/// The library, a root for the harness whose target is our own, and a compiler that adds the sanitizer.
fn prepare(workspace: &Workspace, kind: Kind) -> Result<Places> {
    tools::of_sanitizer(workspace, kind.needs())?;
    let folder = workspace.sanitize_dir().join(kind.name());
    fs::create_dir_all(folder.join("root/target")).with_context(|| format!("making {}", folder.display()))?;
    for name in ["include", "examples", "tests"] {
        let link = folder.join("root").join(name);
        if !link.exists() {
            symlink(workspace.root.join(name), &link).with_context(|| format!("linking {}", link.display()))?;
        }
    }
    let target = folder.join("library");
    let mut library = tools::cargo(workspace, ["build", "-p", "reactor-capi", "--target-dir"]);
    library.arg(&target);
    let mut lib_dir = target.join("debug");
    let flags = match kind {
        Kind::Address => Some("-Zsanitizer=address"),
        Kind::Thread => Some("-Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer"),
        Kind::Memcheck => None,
    };
    if let Some(flags) = flags {
        let triple = host_triple(workspace)?;
        // The switch to flags that are not yet stable, for this build alone; with --target, so that build scripts and
        // macros go without.
        library.env("RUSTC_BOOTSTRAP", "1").env("RUSTFLAGS", flags).args(["--target", &triple]);
        lib_dir = target.join(triple).join("debug");
    }
    process::run(&mut library)?;
    let places = Places { kind, folder, lib_dir };
    let script = places.compiler();
    fs::write(&script, places.compiler_script(workspace)?).with_context(|| format!("writing {}", script.display()))?;
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).context("making the compiler executable")?;
    Ok(places)
}

fn output_of(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("running `{}`", process::shown(command)))?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn rustc(workspace: &Workspace, arguments: &[&str]) -> Result<String> {
    output_of(Command::new("rustc").args(arguments).current_dir(&workspace.root))
}

fn host_triple(workspace: &Workspace) -> Result<String> {
    let version = rustc(workspace, &["-vV"])?;
    let triple = version.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(triple.context("`rustc -vV` names no host")?.to_owned())
}

impl Places {
    fn root(&self) -> PathBuf {
        self.folder.join("root")
    }

    fn compiler(&self) -> PathBuf {
        self.folder.join("cc")
    }

    fn reports(&self) -> PathBuf {
        self.folder.join("reports")
    }

    /// A stand-in for cc that adds what the sanitizer needs. Under memcheck, which needs nothing of a compiler, what it makes
    /// is a script that runs the program under valgrind.
    fn compiler_script(&self, workspace: &Workspace) -> Result<String> {
        Ok(match self.kind {
            Kind::Address => "#!/bin/sh\nexec gcc -fsanitize=address -fno-omit-frame-pointer \"$@\"\n".into(),
            Kind::Thread => {
                // gcc's own runtime is older than what rustc's code calls: so the host has rustc's runtime too.
                let sysroot = rustc(workspace, &["--print", "sysroot"])?;
                let triple = host_triple(workspace)?;
                let folder = PathBuf::from(sysroot.trim()).join("lib/rustlib").join(triple).join("lib");
                let runtimes = files_in(&folder, "rt.tsan.a")?;
                let runtime = runtimes.first().with_context(|| format!("no runtime in {}", folder.display()))?;
                let link = format!("-Wl,--whole-archive {} -Wl,--no-whole-archive", runtime.display());
                format!(
                    "#!/bin/sh\nexec clang -Xclang -fsanitize=thread \"$@\" -rdynamic {link} -ldl -lm -lrt -lresolv\n"
                )
            }
            Kind::Memcheck => {
                let kept = self.folder.join("programs");
                fs::create_dir_all(&kept).with_context(|| format!("making {}", kept.display()))?;
                let (kept, reports) = (kept.display(), self.reports().display().to_string());
                format!(
                    "#!/bin/sh\ngcc \"$@\" || exit\nwhile [ \"$1\" != -o ]; do shift; done\nkept={kept}/$(basename \"$2\")\n\
                     mv \"$2\" \"$kept\"\nprintf '#!/bin/sh\\nexec valgrind -q --leak-check=full \
                     --errors-for-leak-kinds=definite --show-leak-kinds=definite --error-exitcode=66 --fair-sched=yes \
                     --log-file={reports}/report.%%p %s \"$@\"\\n' \"$kept\" > \"$2\"\nchmod +x \"$2\"\n"
                )
            }
        })
    }

    fn environment(&self, command: &mut Command) {
        let log = self.reports().join("report");
        let log = log.display();
        // The hosts check that signal dispositions are at their default. A crash shows in the exit status.
        let signals = "handle_segv=0:handle_sigbus=0:handle_abort=0:handle_sigfpe=0:handle_sigill=0";
        command.env("ASAN_OPTIONS", format!("exitcode=66:log_path={log}:detect_leaks=1:{signals}"));
        // The exit status would tell of false reports too. Hosts leave threads behind on purpose.
        command
            .env("TSAN_OPTIONS", format!("exitcode=0:log_path={log}:history_size=4:report_thread_leaks=0:{signals}"));
    }

    fn forget_reports(&self) -> Result<()> {
        let reports = self.reports();
        if reports.exists() {
            fs::remove_dir_all(&reports).with_context(|| format!("removing {}", reports.display()))?;
        }
        fs::create_dir_all(&reports).with_context(|| format!("making {}", reports.display()))
    }

    /// The reports that say something: valgrind writes a file for each process.
    fn found(&self) -> Result<Vec<(PathBuf, String)>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(self.reports()).with_context(|| format!("listing {}", self.reports().display()))? {
            let path = entry.context("listing the reports")?.path();
            let text = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
            let mut text = String::from_utf8_lossy(&text).into_owned();
            if matches!(self.kind, Kind::Thread) {
                text = text.split("==================").filter(|report| is_seen_whole(report)).collect();
            }
            if !text.trim().is_empty() {
                found.push((path, text));
            }
        }
        Ok(found)
    }

    fn expect_no_reports(&self) -> Result<()> {
        let found = self.found()?;
        for (path, text) in &found {
            let first: Vec<_> =
                text.lines().filter(|line| !line.trim_matches('=').trim().is_empty()).take(30).collect();
            println!("{}:\n{}", path.display(), first.join("\n"));
        }
        if !found.is_empty() {
            bail!("{} processes were reported", found.len());
        }
        Ok(())
    }
}

/// Whether both sides of a report stand where the sanitizer sees what orders them: by the innermost frame of ours in each of
/// its first two stacks.
fn is_seen_whole(report: &str) -> bool {
    let ours = |line: &&str| line.trim_start().starts_with('#') && (line.contains("/crates/") || line.contains(".c:"));
    let stacks: Vec<&str> = report.split("\n\n").filter(|stack| stack.contains("#0 ")).take(2).collect();
    let innermost: Vec<&str> = stacks.iter().filter_map(|stack| stack.lines().find(ours)).collect();
    let [one, other] = innermost[..] else { return false };
    let stands_in = |files: &[&str]| {
        let is_in = |frame: &str| files.iter().any(|file| frame.contains(&format!("/{file}:")));
        is_in(one) || is_in(other)
    };
    let within = !one.contains(".c:") && !other.contains(".c:");
    // The last owner of an Arc drops what it holds, behind a fence.
    let last_owner = stacks.iter().any(|stack| stack.contains("::drop_slow") || stack.contains("::let_go"));
    !(last_owner || stands_in(&UNSEEN_LOCKS) || (within && stands_in(&HANDED_OVER)))
}

/// Runs a host with a fault in it; an error unless it is reported, for then the sanitizer would see nothing else either.
fn seeded_fault_is_reported(workspace: &Workspace, places: &Places, variant: &str, says: &str) -> Result<()> {
    places.forget_reports()?;
    let program = places.folder.join("seeded_fault");
    let mut compile = Command::new(places.compiler());
    compile.current_dir(&workspace.root).args(["-O1", "-g", "-pthread", "-Iinclude"]);
    compile.args(["tests/c/peer_seeded_fault.c", "tests/c/host.c"]).arg("-L").arg(&places.lib_dir).arg("-lreactor");
    compile.arg(rpath(&places.lib_dir)).arg("-o").arg(&program);
    process::run(&mut compile)?;
    let mut run = Command::new(&program);
    run.args(["--mode", "pooled", "--workers", "2", "--variant", variant]);
    places.environment(&mut run);
    let status = run.status().with_context(|| format!("running `{}`", process::shown(&run)))?;
    let found = places.found()?;
    let silent = status.success() && !matches!(places.kind, Kind::Thread);
    if silent || !found.iter().any(|(_, text)| text.contains(says)) {
        bail!("the fault `{variant}` was put in, and there is no report of `{says}`: is the sanitizer on? ({status})");
    }
    println!("the fault `{variant}`, put in, is reported: {says}");
    Ok(())
}

fn rpath(lib_dir: &Path) -> String {
    format!("-Wl,--disable-new-dtags,-rpath,{}", lib_dir.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_with_a_lock_of_std_on_one_side_is_set_aside() {
        let report = |one: &str, other: &str| {
            format!("WARNING\n  Write of size 1\n    #0 memcpy (x)\n    #1 f {one}\n\n  Previous\n    #0 g {other}\n\n")
        };
        let (library, host, lock) =
            ("/crates/reactor-core/src/push.rs:3:1", "/c/a.c:4:1", "/crates/reactor-core/src/run.rs:5");
        assert!(is_seen_whole(&report(library, host)));
        assert!(!is_seen_whole(&report(library, lock)));
        assert!(!is_seen_whole(&report(lock, host)));
        assert!(!is_seen_whole(&report("/std/x.rs:1", host)), "std alone is not instrumented");
    }
}
