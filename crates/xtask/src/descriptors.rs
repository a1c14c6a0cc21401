//! The limit on open files of this process, which all that it starts inherits. Knows nothing of what is opened.

use anyhow::{Context, Result};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Raises the soft limit to the hard one: the usual 1024 is fewer than the connections of one demo or test. A program that
/// uses select(2) could not have more than 1024; none of ours does.
pub(crate) fn raise_limit() -> Result<()> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).context("reading RLIMIT_NOFILE")?;
    if soft < hard {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard).context("raising the soft RLIMIT_NOFILE to the hard one")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_is_the_hard_one_from_then_on() -> Result<()> {
        raise_limit()?;
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
        assert_eq!(soft, hard);
        raise_limit()
    }
}
