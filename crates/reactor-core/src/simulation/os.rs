//! Stands in for the part of `nix` that the loops use, and passes on what is not simulated.

pub(crate) use real_nix::{errno, libc};

pub(crate) mod sys {
    pub(crate) use real_nix::sys::resource;

    pub(crate) mod socket {
        use std::io;
        use std::os::fd::RawFd;

        #[derive(Clone, Copy, Debug)]
        pub(crate) struct MsgFlags;

        impl MsgFlags {
            pub(crate) const MSG_PEEK: MsgFlags = MsgFlags;
        }

        /// Always a look, for nothing else is asked for.
        pub(crate) fn recv(fd: RawFd, buffer: &mut [u8], _flags: MsgFlags) -> io::Result<usize> {
            crate::simulation::net::peek(fd, buffer)
        }
    }
}
