//! Owns `reactor_mode` as C sees it. It never comes in as an enum (any number may come from C): the core checks it.

/// How the work is spread over threads. The guarantees are the same in each.
#[expect(non_camel_case_types, reason = "types and enumerators bear their C names")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub enum reactor_mode {
    /// One thread does I/O and runs the callback.
    REACTOR_MODE_SINGLE = 0,
    /// One reactor thread does I/O, worker threads run the callback.
    REACTOR_MODE_POOLED = 1,
    /// A main reactor accepts; sub-reactors, a thread each, own the connections.
    REACTOR_MODE_MULTI = 2,
}

#[cfg(test)]
mod tests {
    use super::*;
    use reactor_core::Mode;

    #[test]
    fn modes_have_the_numbers_of_the_core() {
        for (mode, core) in [
            (reactor_mode::REACTOR_MODE_SINGLE, Mode::Single),
            (reactor_mode::REACTOR_MODE_POOLED, Mode::Pooled),
            (reactor_mode::REACTOR_MODE_MULTI, Mode::Multi),
        ] {
            assert_eq!(Mode::from_number(mode as u32).expect("the core has it"), core);
        }
    }
}
