//! Owns a server under test: how it is started, asked to stop, and what it reports then. Knows nothing of what is sent
//! to it.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::thread;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::DEADLINE;
use crate::build;
use crate::child::Running;
use crate::client::Client;
use crate::modes::Mode;
use crate::node;

/// A running server; killed when it is dropped before [`Server::stop`].
pub struct Server {
    running: Running,
    /// The server's own, also where something else started it.
    pid: u32,
    stops_by: StopsBy,
    address: SocketAddr,
}

/// How a server is asked to drain and to report.
#[derive(Clone, Copy, PartialEq, Eq)]
enum StopsBy {
    /// The examples do so on SIGTERM.
    Signal,
    /// The test programs do so at the end of their input.
    EndOfInput,
}

/// What a server printed of its stop: `stopped: drained=N aborted=N completed=N abandoned=N unsent=N running=N`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Connections where everything was answered and flushed.
    pub drained: u64,
    /// Connections cut at the deadline.
    pub aborted: u64,
    /// Requests answered after the stop was asked for.
    pub completed: u64,
    /// Requests admitted, and not answered by the deadline.
    pub abandoned: u64,
    /// Bytes of replies that did not leave.
    pub unsent: u64,
    /// Callbacks that had not returned by the deadline.
    pub running: u64,
}

/// A server that has ended with exit status 0.
#[derive(Debug)]
pub struct Stopped {
    /// What it reported.
    pub report: Report,
    /// All that it printed, in order.
    pub lines: Vec<String>,
}

impl Server {
    /// Starts a program of `examples/c` on a free port and waits until it listens.
    ///
    /// # Panics
    /// Where it does not.
    #[must_use]
    pub fn example(name: &str, args: &[&str]) -> Server {
        Server::start(Command::new(build::example(name)).args(args), StopsBy::Signal)
    }

    /// Starts a program of `tests/c` on a free port and waits until it listens.
    ///
    /// # Panics
    /// Where it does not.
    #[must_use]
    pub fn program(name: &str, args: &[&str]) -> Server {
        Server::start(Command::new(build::test_program(name)).args(args), StopsBy::EndOfInput)
    }

    /// Starts the example of this name in this mode, in C or on Node, and waits until it listens. `more` follows what
    /// asks for the mode.
    ///
    /// # Panics
    /// Where it does not.
    #[must_use]
    pub fn example_in(mode: Mode, name: &str, more: &[&str]) -> Server {
        if mode.is_node() {
            Server::start(node::example(mode, name).args(mode.args()).args(more), StopsBy::Signal)
        } else {
            Server::example(name, &[mode.args(), more].concat())
        }
    }

    /// Starts a program of `examples/node` as it stands, in its own default mode, on a free port and waits until it listens.
    ///
    /// # Panics
    /// Where it does not.
    #[must_use]
    pub fn node_example(name: &str, args: &[&str]) -> Server {
        Server::start(node::own_example(name).args(args), StopsBy::Signal)
    }

    /// As [`Server::example_in`], of the programs of `tests/c` and `tests/node`.
    ///
    /// # Panics
    /// Where it does not listen.
    #[must_use]
    pub fn program_in(mode: Mode, name: &str, more: &[&str]) -> Server {
        Server::program_with(mode, name, &[mode.args(), more].concat())
    }

    /// As [`Server::program_in`], its connections all on one reactor thread.
    ///
    /// # Panics
    /// Where it does not listen.
    #[must_use]
    pub fn program_with_one_reactor(mode: Mode, name: &str, more: &[&str]) -> Server {
        Server::program_with(mode, name, &[mode.args_with_one_reactor().as_slice(), more].concat())
    }

    /// As [`Server::program_in`], with two reactor threads where connections spread over several.
    ///
    /// # Panics
    /// Where it does not listen.
    #[must_use]
    pub fn program_with_two_reactors(mode: Mode, name: &str, more: &[&str]) -> Server {
        Server::program_with(mode, name, &[mode.args_with_two_reactors().as_slice(), more].concat())
    }

    fn program_with(mode: Mode, name: &str, args: &[&str]) -> Server {
        if !mode.is_node() {
            return Server::program(name, args);
        }
        let descriptors = args.iter().position(|arg| *arg == "--nofile").and_then(|at| args.get(at + 1).copied());
        Server::start(node::test_program(name, descriptors).args(args), StopsBy::EndOfInput)
    }

    /// As [`Server::example`], under `strace -f -c`, which writes its table to `table` when the server has ended.
    ///
    /// # Panics
    /// Where it does not listen.
    #[must_use]
    pub fn traced_example(name: &str, args: &[&str], table: &Path) -> Server {
        let mut command = Command::new("strace");
        command.args(["-f", "-c", "-o"]).arg(table);
        // strace blocks signals while it writes to a file; they have to go to the server itself, so it says its number.
        command.args(["sh", "-c", r#"echo "pid $$"; exec "$0" "$@""#]).arg(build::example(name));
        let mut server = Server::start(command.args(args), StopsBy::Signal);
        let pid = server.expect_line("pid ");
        server.pid = pid["pid ".len()..].parse().expect("a shell prints its process id as a number");
        server
    }

    fn start(command: &mut Command, stops_by: StopsBy) -> Server {
        let mut running = Running::spawn(command.args(["--addr", "127.0.0.1:0"]));
        let line = running.expect_line("listening on ");
        let address = line["listening on ".len()..].trim().parse();
        let address = address.unwrap_or_else(|error| panic!("'{line}': {error}"));
        let pid = running.pid();
        Server { running, pid, stops_by, address }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// A new connection to it.
    ///
    /// # Panics
    /// Where the connection is refused.
    #[must_use]
    pub fn connect(&self) -> Client {
        Client::connect(self.address)
    }

    /// Tells a program of `tests/c` something, such as `go 0` or `stop 200`.
    ///
    /// # Panics
    /// Where it has ended.
    pub fn tell(&mut self, line: &str) {
        self.running.tell(line);
    }

    /// Waits for the next line that starts with `prefix` and was not asked for before; lines may be asked for in another
    /// order than they came in.
    ///
    /// # Panics
    /// Where it does not come by the deadline.
    pub fn expect_line(&mut self, prefix: &str) -> String {
        self.running.expect_line(prefix)
    }

    /// As [`Server::expect_line`], `count` times.
    ///
    /// # Panics
    /// Where they do not come by the deadline.
    pub fn expect_lines(&mut self, count: usize, prefix: &str) -> Vec<String> {
        (0..count).map(|_| self.expect_line(prefix)).collect()
    }

    /// Whether a line that starts with `prefix` has come by now.
    pub fn has_said(&mut self, prefix: &str) -> bool {
        self.running.has_said(prefix)
    }

    /// Sends it `signal`.
    ///
    /// # Panics
    /// Where it has ended.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.pid.try_into().expect("Linux's process ids are below 2^22"));
        kill(pid, signal).unwrap_or_else(|error| panic!("sending {signal} to the server: {error}"));
    }

    /// Asks it to drain and returns at once.
    ///
    /// # Panics
    /// Where it has ended.
    pub fn ask_to_stop(&mut self) {
        match self.stops_by {
            StopsBy::Signal => self.signal(Signal::SIGTERM),
            StopsBy::EndOfInput => self.running.close_input(),
        }
    }

    /// Waits for the end of a server that was asked to stop.
    ///
    /// # Panics
    /// Where it does not end with exit status 0, or reports nothing.
    #[must_use]
    pub fn wait(mut self) -> Stopped {
        let (lines, status) = self.running.wait();
        assert!(status.success(), "the server ended with {status}; it printed: {lines:#?}");
        let report = lines.iter().find_map(|line| Report::parse(line));
        let report = report.unwrap_or_else(|| panic!("the server reported nothing; it printed: {lines:#?}"));
        Stopped { report, lines }
    }

    /// As [`Server::stop`], with clients that see the FIN and answer it. A stop waits a while for one that does not
    /// (lingering close).
    ///
    /// # Panics
    /// As [`Server::wait`], and where a client gets anything but a FIN.
    pub fn stop_with(mut self, clients: Vec<Client>) -> Stopped {
        self.ask_to_stop();
        for mut client in clients {
            client.expect_end();
        }
        self.wait()
    }

    /// Asks it to drain and waits for its end.
    ///
    /// # Panics
    /// As [`Server::wait`].
    pub fn stop(mut self) -> Stopped {
        self.ask_to_stop();
        self.wait()
    }
}

impl Stopped {
    /// How many of its lines start with `prefix`.
    #[must_use]
    pub fn count(&self, prefix: &str) -> usize {
        self.lines.iter().filter(|line| line.starts_with(prefix)).count()
    }
}

impl Report {
    fn parse(line: &str) -> Option<Report> {
        let mut report = Report::default();
        for field in line.strip_prefix("stopped: ")?.split_whitespace() {
            let (name, value) = field.split_once('=')?;
            let place = match name {
                "drained" => &mut report.drained,
                "aborted" => &mut report.aborted,
                "completed" => &mut report.completed,
                "abandoned" => &mut report.abandoned,
                "unsent" => &mut report.unsent,
                "running" => &mut report.running,
                _ => return None,
            };
            *place = value.parse().ok()?;
        }
        Some(report)
    }

    /// What [`Report::running`] is where so many handlers have not returned: JavaScript's are not native callbacks, and
    /// count among the abandoned requests alone.
    #[must_use]
    pub fn running_due(mode: Mode, handlers: u64) -> u64 {
        if mode.is_node() { 0 } else { handlers }
    }

    /// Asserts that nothing which was admitted stayed unanswered.
    ///
    /// # Panics
    /// Where something did.
    pub fn assert_nothing_lost(&self) {
        let lost = (self.aborted, self.abandoned, self.unsent, self.running);
        assert_eq!(lost, (0, 0, 0, 0), "aborted, abandoned, unsent, running of {self:?}");
    }
}

/// Asserts that a line `close CONN reason=NAME os_error=N` is of this reason, and of the errno that goes with it: one for
/// `RESET`, none for the others. A Node server tells of none.
///
/// # Panics
/// Where it is not.
pub fn assert_closed(line: &str, reason: &str) {
    let (_, told) = line.split_once(" reason=").unwrap_or_else(|| panic!("'{line}'"));
    let (name, os_error) = told.split_once(" os_error=").map_or((told, None), |(name, number)| (name, Some(number)));
    assert_eq!(name, reason, "'{line}'");
    assert!(os_error.is_none_or(|number| (number != "0") == (reason == "RESET")), "'{line}'");
}

/// Runs a program of `tests/c` or, with a mode of Node, `tests/node` to its end and returns what it printed.
///
/// # Panics
/// Where it does not end with exit status 0.
pub fn run_program_in(mode: Mode, name: &str, more: &[&str]) -> Vec<String> {
    let args = [mode.args(), more].concat();
    if mode.is_node() {
        run_command(name, &args, &mut node::test_program(name, None))
    } else {
        run_program(name, &args)
    }
}

/// Runs a program of `tests/c` to its end and returns what it printed.
///
/// # Panics
/// Where it does not end with exit status 0.
pub fn run_program(name: &str, args: &[&str]) -> Vec<String> {
    run_command(name, args, &mut Command::new(build::test_program(name)))
}

fn run_command(name: &str, args: &[&str], command: &mut Command) -> Vec<String> {
    let mut running = Running::spawn(command.args(args));
    running.close_input();
    let (lines, status) = running.wait();
    assert!(status.success(), "{name} {args:?} ended with {status}; it printed: {lines:#?}");
    lines
}

/// Runs an example that is to fail, and returns what it printed to its standard error.
///
/// # Panics
/// Where it does not end with exit status 1.
#[must_use]
pub fn failing_example(name: &str, args: &[&str]) -> String {
    failing(name, args, &mut Command::new(build::example(name)))
}

/// As [`failing_example`], in this mode, in C or on Node.
///
/// # Panics
/// As there.
#[must_use]
pub fn failing_example_in(mode: Mode, name: &str, more: &[&str]) -> String {
    let args = [mode.args(), more].concat();
    if mode.is_node() { failing(name, &args, &mut node::example(mode, name)) } else { failing_example(name, &args) }
}

fn failing(name: &str, args: &[&str], command: &mut Command) -> String {
    let child = command
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("starting {name}: {error}"));
    let (sender, receiver) = channel();
    thread::spawn(move || sender.send(child.wait_with_output()));
    let output = receiver.recv_timeout(DEADLINE).unwrap_or_else(|_| panic!("{name} {args:?} did not end"));
    let output = output.expect("the child is ours and was not waited for before");
    assert_eq!(output.status.code(), Some(1), "{name} {args:?}: {output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}
