//! Owns one child process: its lines of output, its input, its end. Knows nothing of what the process serves.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Instant;

use crate::load::raise_descriptor_limit;
use crate::{DEADLINE, wait_until};

/// A child process, killed when it is dropped. Its errors go where the test's own go.
pub(crate) struct Running {
    child: Child,
    input: Option<ChildStdin>,
    output: Receiver<String>,
    /// Every line so far, in order.
    lines: Vec<String>,
    /// Those of `lines` that nobody has asked for yet.
    unclaimed: Vec<usize>,
}

impl Running {
    pub(crate) fn spawn(command: &mut Command) -> Running {
        // Our sockets and those of the children, which inherit the limit, are many.
        raise_descriptor_limit();
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("starting {command:?}: {error}"));
        let stdout = child.stdout.take().expect("it was asked for above");
        let (sender, output) = channel();
        // Reads on to the end, so that the child never waits for us to take its output.
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                // Nobody listens any more: the test is over, or has failed.
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let input = child.stdin.take();
        Running { child, input, output, lines: Vec::new(), unclaimed: Vec::new() }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The first line not yet asked for that starts with `prefix`; waits for one.
    pub(crate) fn expect_line(&mut self, prefix: &str) -> String {
        let deadline = Instant::now() + DEADLINE;
        let mut looked_at = 0;
        loop {
            let found = self.unclaimed[looked_at..].iter().position(|&line| self.lines[line].starts_with(prefix));
            if let Some(position) = found {
                return self.lines[self.unclaimed.remove(looked_at + position)].clone();
            }
            looked_at = self.unclaimed.len();
            if let Err(why) = self.take_line(deadline) {
                panic!("{why:?} while waiting for a line '{prefix}...'; there were: {:#?}", self.lines);
            }
        }
    }

    /// Whether a line that starts with `prefix` has come by now, asked for or not.
    pub(crate) fn has_said(&mut self, prefix: &str) -> bool {
        while let Ok(line) = self.output.try_recv() {
            self.unclaimed.push(self.lines.len());
            self.lines.push(line);
        }
        self.lines.iter().any(|line| line.starts_with(prefix))
    }

    /// Writes one line to the child's input.
    pub(crate) fn tell(&mut self, line: &str) {
        let input = self.input.as_mut().expect("a test tells a program nothing after it has closed its input");
        writeln!(input, "{line}").unwrap_or_else(|error| panic!("telling the program '{line}': {error}"));
    }

    pub(crate) fn close_input(&mut self) {
        self.input = None;
    }

    /// Waits for the end of the process; every line it has printed, and how it ended.
    pub(crate) fn wait(&mut self) -> (Vec<String>, ExitStatus) {
        let deadline = Instant::now() + DEADLINE;
        loop {
            match self.take_line(deadline) {
                Ok(()) => {}
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    panic!("the program did not end; it printed: {:#?}", self.lines)
                }
            }
        }
        let mut ended = None;
        wait_until("a program that has closed its output to exit", || {
            ended = self.child.try_wait().expect("the child is ours and was not waited for before");
            ended.is_some()
        });
        (std::mem::take(&mut self.lines), ended.expect("the wait above ended because it is"))
    }

    fn take_line(&mut self, deadline: Instant) -> Result<(), RecvTimeoutError> {
        let line = self.output.recv_timeout(deadline.saturating_duration_since(Instant::now()))?;
        self.unclaimed.push(self.lines.len());
        self.lines.push(line);
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail where the process has ended already, which is what is wanted here.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
