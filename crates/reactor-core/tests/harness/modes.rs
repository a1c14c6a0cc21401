//! Owns the modes as they wire threads, their options, and a test for each of them. Knows no handler.

use reactor_core::{Framing, Mode, Options};

/// The modes, as they wire threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wiring {
    Single,
    /// With 4 workers.
    Pooled,
    /// With 2 reactors, inline.
    Multi,
    /// With 2 reactors and 3 workers.
    MultiWithWorkers,
}

impl Wiring {
    const ALL: [Wiring; 4] = [Wiring::Single, Wiring::Pooled, Wiring::Multi, Wiring::MultiWithWorkers];

    /// The one of this name, as Debug writes it.
    pub(crate) fn named(name: &str) -> Wiring {
        Wiring::ALL.into_iter().find(|wiring| format!("{wiring:?}") == name).expect("a mode's name")
    }

    pub(crate) fn mode(self) -> Mode {
        match self {
            Wiring::Single => Mode::Single,
            Wiring::Pooled => Mode::Pooled,
            Wiring::Multi | Wiring::MultiWithWorkers => Mode::Multi,
        }
    }

    /// All defaults but the number of threads.
    pub(crate) fn options(self) -> Options {
        let mut options = Options::new();
        match self {
            Wiring::Single => {}
            Wiring::Pooled => {
                options.set_workers(4).expect("in range");
            }
            Wiring::Multi => {
                options.set_reactors(2).expect("in range");
            }
            Wiring::MultiWithWorkers => {
                options.set_reactors(2).expect("in range").set_workers(3).expect("in range");
            }
        }
        options
    }

    /// As [`options`](Wiring::options), with the framing.
    pub(crate) fn framed(self, framing: Framing) -> Options {
        let mut options = self.options();
        options.set_framing(framing).expect("the framing is well formed");
        options
    }

    /// Loops that own connections.
    pub(crate) fn reactors(self) -> usize {
        match self {
            Wiring::Single | Wiring::Pooled => 1,
            Wiring::Multi | Wiring::MultiWithWorkers => 2,
        }
    }

    /// Whether `process` runs elsewhere than on the loop's own thread.
    pub(crate) fn has_workers(self) -> bool {
        match self {
            Wiring::Single | Wiring::Multi => false,
            Wiring::Pooled | Wiring::MultiWithWorkers => true,
        }
    }

    /// Threads that run `process`.
    pub(crate) fn lanes(self) -> usize {
        match self {
            Wiring::Single => 1,
            Wiring::Pooled => 4,
            Wiring::Multi => 2,
            Wiring::MultiWithWorkers => 3,
        }
    }
}

/// One named test for each mode, of each function that takes the mode.
macro_rules! in_each_mode {
    ($($name:ident),* $(,)?) => {$(
        mod $name {
            use crate::harness::Wiring;

            #[test]
            fn single() {
                super::$name(Wiring::Single);
            }

            #[test]
            fn pooled() {
                super::$name(Wiring::Pooled);
            }

            #[test]
            fn multi() {
                super::$name(Wiring::Multi);
            }

            #[test]
            fn multi_with_workers() {
                super::$name(Wiring::MultiWithWorkers);
            }
        }
    )*};
}
pub(crate) use in_each_mode;
