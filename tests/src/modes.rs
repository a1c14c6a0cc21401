//! Owns the modes that every scenario runs in, of the C library and of the Node package, and the macros that name a test
//! for each. Knows nothing of servers.

/// A server to test, and a way of spreading its work over threads, as the test programs are asked for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// C: one thread does I/O and runs the callback.
    Single,
    /// C: one reactor thread, four workers.
    Pooled,
    /// C: a main reactor and sub-reactors that run the callback themselves.
    Multi,
    /// C: a main reactor and sub-reactors that share four workers.
    MultiWithWorkers,
    /// Node: one reactor thread, and a function on the main thread.
    NodeFunction,
    /// Node: a main reactor and sub-reactors, and a function on the main thread.
    NodeFunctionMulti,
    /// Node: one reactor thread, and a module on two worker threads.
    NodeModule,
    /// Node: a main reactor and sub-reactors, and a module on two worker threads.
    NodeModuleMulti,
}

impl Mode {
    /// The command line that asks for it.
    #[must_use]
    pub fn args(self) -> &'static [&'static str] {
        match self {
            Mode::Single | Mode::NodeFunction => &["--mode", "single"],
            Mode::Pooled => &["--mode", "pooled", "--workers", "4"],
            Mode::Multi | Mode::NodeFunctionMulti => &["--mode", "multi"],
            Mode::MultiWithWorkers => &["--mode", "multi", "--workers", "4"],
            Mode::NodeModule => &["--mode", "pooled", "--workers", "2", "--module"],
            Mode::NodeModuleMulti => &["--mode", "multi", "--workers", "2", "--module"],
        }
    }

    /// The command line of a server whose connections all live on one reactor thread, whatever the mode; for the test
    /// programs, since the examples have no `--reactors`.
    #[must_use]
    pub fn args_with_one_reactor(self) -> Vec<&'static str> {
        self.args_with_reactors("1")
    }

    /// As [`Mode::args_with_one_reactor`], with two where one thread accepts and others own the connections: what a
    /// reactor takes is as much on a machine of many cores as it is on one of two.
    #[must_use]
    pub fn args_with_two_reactors(self) -> Vec<&'static str> {
        self.args_with_reactors("2")
    }

    fn args_with_reactors(self, count: &'static str) -> Vec<&'static str> {
        let mut args = self.args().to_vec();
        if self.has_main_reactor() {
            args.extend(["--reactors", count]);
        }
        args
    }

    /// Whether others than the loop run the callback, so that the loop goes on while one waits.
    #[must_use]
    pub fn has_workers(self) -> bool {
        matches!(self, Mode::Pooled | Mode::MultiWithWorkers) || self.is_node()
    }

    /// Whether one thread accepts and others own the connections.
    #[must_use]
    pub fn has_main_reactor(self) -> bool {
        matches!(self, Mode::Multi | Mode::MultiWithWorkers | Mode::NodeFunctionMulti | Mode::NodeModuleMulti)
    }

    /// Whether it is the Node package that serves.
    #[must_use]
    pub fn is_node(self) -> bool {
        match self {
            Mode::Single | Mode::Pooled | Mode::Multi | Mode::MultiWithWorkers => false,
            Mode::NodeFunction | Mode::NodeFunctionMulti | Mode::NodeModule | Mode::NodeModuleMulti => true,
        }
    }

    /// Whether it is a module on worker threads that answers.
    #[must_use]
    pub fn is_node_module(self) -> bool {
        matches!(self, Mode::NodeModule | Mode::NodeModuleMulti)
    }
}

/// Makes of each named `fn(Mode)` one test for each mode of the C library, in the modules `single`, `pooled`, `multi` and
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

/// Makes of each named `fn(Mode)` one test for each way to serve with the Node package, in the modules `node_function`,
/// `node_function_multi`, `node_module` and `node_module_multi`.
#[macro_export]
macro_rules! in_each_mode_of_node {
    ($($scenario:ident),+ $(,)?) => {
        $crate::in_one_mode!(node_function, NodeFunction, $($scenario),+);
        $crate::in_one_mode!(node_function_multi, NodeFunctionMulti, $($scenario),+);
        $crate::in_one_mode!(node_module, NodeModule, $($scenario),+);
        $crate::in_one_mode!(node_module_multi, NodeModuleMulti, $($scenario),+);
    };
}

/// As [`in_each_mode_of_node!`], for what a function alone can do: its state is that of all connections. The modules are
/// `node_function_alone` and `node_function_alone_multi`.
#[macro_export]
macro_rules! in_each_mode_of_node_functions {
    ($($scenario:ident),+ $(,)?) => {
        $crate::in_one_mode!(node_function_alone, NodeFunction, $($scenario),+);
        $crate::in_one_mode!(node_function_alone_multi, NodeFunctionMulti, $($scenario),+);
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
