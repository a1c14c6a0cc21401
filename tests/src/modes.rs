//! Owns the modes that every scenario runs in, and the macro that names a test for each. Knows nothing of servers.

/// A way of spreading the work over threads, as the test programs are asked for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// One thread does I/O and runs the callback.
    Single,
    /// One reactor thread, four workers.
    Pooled,
    /// A main reactor and sub-reactors that run the callback themselves.
    Multi,
    /// A main reactor and sub-reactors that share four workers.
    MultiWithWorkers,
}

impl Mode {
    /// The command line that asks for it.
    #[must_use]
    pub fn args(self) -> &'static [&'static str] {
        match self {
            Mode::Single => &["--mode", "single"],
            Mode::Pooled => &["--mode", "pooled", "--workers", "4"],
            Mode::Multi => &["--mode", "multi"],
            Mode::MultiWithWorkers => &["--mode", "multi", "--workers", "4"],
        }
    }

    /// The command line of a server whose connections all live on one reactor thread, whatever the mode; for the test
    /// programs, since the examples have no `--reactors`.
    #[must_use]
    pub fn args_with_one_reactor(self) -> Vec<&'static str> {
        let mut args = self.args().to_vec();
        if self.has_main_reactor() {
            args.extend(["--reactors", "1"]);
        }
        args
    }

    /// Whether workers run the callback, so that the loop goes on while one is busy.
    #[must_use]
    pub fn has_workers(self) -> bool {
        matches!(self, Mode::Pooled | Mode::MultiWithWorkers)
    }

    /// Whether one thread accepts and others own the connections.
    #[must_use]
    pub fn has_main_reactor(self) -> bool {
        matches!(self, Mode::Multi | Mode::MultiWithWorkers)
    }
}

/// Makes of each named `fn(Mode)` one test in each of the modules `single`, `pooled`, `multi` and
/// `multi_with_workers`.
#[macro_export]
macro_rules! in_each_mode {
    ($($scenario:ident),+ $(,)?) => {
        $crate::in_one_mode!(single, Single, $($scenario),+);
        $crate::in_one_mode!(pooled, Pooled, $($scenario),+);
        $crate::in_one_mode!(multi, Multi, $($scenario),+);
        $crate::in_one_mode!(multi_with_workers, MultiWithWorkers, $($scenario),+);
    };
}

/// The part of [`in_each_mode!`] for one mode.
#[macro_export]
macro_rules! in_one_mode {
    ($module:ident, $mode:ident, $($scenario:ident),+) => {
        mod $module {
            $(
                #[test]
                fn $scenario() {
                    super::$scenario($crate::Mode::$mode);
                }
            )+
        }
    };
}
