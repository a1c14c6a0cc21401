//! Child processes: one run to its end, or one kept running, read line by line and never left behind. Knows nothing of
//! what they are.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// The command as a shell at the root takes it, with the variables that were set for it.
pub(crate) fn shown(command: &Command) -> String {
    let mut line = String::new();
    for (name, value) in command.get_envs() {
        let value = value.unwrap_or_default().to_string_lossy();
        let _ = write!(line, "{}={} ", name.to_string_lossy(), quoted(&value));
    }
    line += &quoted(&command.get_program().to_string_lossy());
    for arg in command.get_args() {
        line += " ";
        line += &quoted(&arg.to_string_lossy());
    }
    line
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=+:,@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) { word.into() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

/// Runs it to its end with our own input and output; an error unless it exits with 0.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("starting `{}`", shown(command)))?;
    if !status.success() {
        bail!("`{}` failed: {status}", shown(command));
    }
    Ok(())
}

/// As [`run`]; `hear` is told of each line of its output, and says whether it is worth printing.
pub(crate) fn run_heard(command: &mut Command, mut hear: impl FnMut(&str) -> bool) -> Result<()> {
    let mut child = command.stdout(Stdio::piped()).spawn().with_context(|| format!("starting `{}`", shown(command)))?;
    let output = child.stdout.take().expect("its output was piped just above");
    for line in BufReader::new(output).split(b'\n') {
        let line = line.with_context(|| format!("reading what `{}` prints", shown(command)))?;
        let line = String::from_utf8_lossy(&line);
        if hear(&line) {
            println!("{line}");
        }
    }
    let status = child.wait().with_context(|| format!("waiting for `{}`", shown(command)))?;
    if !status.success() {
        bail!("`{}` failed: {status}", shown(command));
    }
    Ok(())
}

/// What a running process has said by a given time.
pub(crate) enum Said {
    /// The next line of its output.
    Line(String),
    /// Nothing yet.
    Nothing,
    /// Its output has ended.
    End,
}

/// A child whose output we read; killed when dropped.
pub(crate) struct Running {
    name: String,
    child: Child,
    lines: Receiver<String>,
}

impl Running {
    /// Starts it. `name` is what errors call it.
    pub(crate) fn start(name: &str, command: &mut Command) -> Result<Running> {
        let started = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        let mut child = started.with_context(|| format!("starting {name}: `{}`", shown(command)))?;
        let output = child.stdout.take().expect("its output was piped just above");
        Ok(Running { name: name.into(), child, lines: lines_of(output) })
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for its next line, no longer than until `deadline`.
    pub(crate) fn said(&self, deadline: Instant) -> Said {
        match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) => Said::Line(line),
            Err(RecvTimeoutError::Timeout) => Said::Nothing,
            Err(RecvTimeoutError::Disconnected) => Said::End,
        }
    }

    /// Waits for a line that begins so, and gives back what follows.
    pub(crate) fn line_after(&self, prefix: &str, deadline: Instant) -> Result<String> {
        loop {
            match self.said(deadline) {
                Said::Line(line) => match line.strip_prefix(prefix) {
                    Some(rest) => return Ok(rest.into()),
                    None => println!("{}: {line}", self.name),
                },
                Said::Nothing => bail!("{} did not print `{prefix}...` in time", self.name),
                Said::End => bail!("{} ended without printing `{prefix}...`", self.name),
            }
        }
    }

    /// Asks it to end, by SIGTERM.
    pub(crate) fn terminate(&self) -> Result<()> {
        let id = i32::try_from(self.child.id()).context("a process id beyond pid_t")?;
        kill(Pid::from_raw(id), Signal::SIGTERM).with_context(|| format!("sending SIGTERM to {}", self.name))
    }

    /// Waits for its end; past `deadline` it is killed, which is an error.
    pub(crate) fn wait(mut self, deadline: Instant) -> Result<ExitStatus> {
        loop {
            let ended = self.child.try_wait().with_context(|| format!("waiting for {}", self.name))?;
            if let Some(status) = ended {
                return Ok(status);
            }
            if Instant::now() >= deadline {
                bail!("{} did not end in time", self.name);
            }
            // std has no wait with a time limit; its output has ended by now, so this is short.
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only where it has already ended and been waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads on a thread of its own, so that a wait for a line can have a time limit.
fn lines_of(output: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for line in BufReader::new(output).split(b'\n') {
            let Ok(line) = line else { return };
            if sender.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                return;
            }
        }
    });
    receiver
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_as_a_shell_takes_it() {
        let mut command = Command::new("cargo");
        command.args(["doc", "a b", "it's"]).env("RUSTDOCFLAGS", "-D warnings");
        assert_eq!(shown(&command), r"RUSTDOCFLAGS='-D warnings' cargo doc 'a b' 'it'\''s'");
    }

    #[test]
    fn a_command_that_fails_is_named() {
        let error = run(Command::new("sh").args(["-c", "exit 3"])).expect_err("it exits with 3").to_string();
        assert!(error.contains("sh -c 'exit 3'") && error.contains('3'), "{error}");
    }

    #[test]
    fn a_running_process_is_read_line_by_line_and_ended_by_sigterm() -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(10);
        let script = "trap 'echo stopped: now; exit 0' TERM; echo listening on here; while :; do sleep 0.01; done";
        let running = Running::start("a shell", Command::new("sh").args(["-c", script]))?;
        assert_eq!(running.line_after("listening on ", deadline)?, "here");
        running.terminate()?;
        assert_eq!(running.line_after("stopped: ", deadline)?, "now");
        assert!(matches!(running.said(deadline), Said::End));
        assert!(running.wait(deadline)?.success());
        Ok(())
    }

    #[test]
    fn a_process_that_says_nothing_is_waited_for_no_longer_than_told() -> Result<()> {
        let running = Running::start("a sleeper", Command::new("sleep").arg("60"))?;
        let error = running.line_after("listening on ", Instant::now()).expect_err("it says nothing");
        assert!(error.to_string().contains("a sleeper did not print"), "{error}");
        Ok(())
    }
}
