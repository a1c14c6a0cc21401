//! What is measured: servers, the load on each, and what is claimed of their figures. Runs nothing.

use crate::bench::programs::{Program, Work};
use crate::bench::sample::Metric;

/// What is done to a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Load {
    /// `reactor-load run` with these arguments, for the time of one sample.
    Run(Vec<String>),
    /// The same, to its own end: a number of requests is among the arguments.
    Count(Vec<String>),
    /// wrk with one thread.
    Wrk { connections: u32 },
    /// Connections opened one by one.
    Connect { connections: u32 },
    /// Idle connections, `touched` by one echo each before.
    Hold { connections: u32, touched: bool },
    /// The cluster client with its defaults.
    ClusterClient,
    /// Connects and requests beside a handler that keeps the main thread busy for 200 ms at a time.
    BusyMainThread,
}

impl Load {
    /// `reactor-load run` with these arguments, separated by blanks.
    pub(crate) fn run(arguments: &str) -> Load {
        Load::Run(arguments.split_whitespace().map(String::from).collect())
    }
}

/// One server under one load.
#[derive(Clone, Debug)]
pub(crate) struct Contender {
    pub(crate) name: String,
    pub(crate) program: Program,
    pub(crate) work: Work,
    pub(crate) load: Load,
    /// Server on core 0, load on core 1.
    pub(crate) pinned: bool,
}

/// On which side of a limit a figure must be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

/// What must hold of the figures of a scene.
#[derive(Clone, Debug)]
pub(crate) struct Claim {
    pub(crate) metric: Metric,
    /// By name.
    pub(crate) ours: String,
    /// By name: then the bound is for the ratio, else for the figure itself.
    pub(crate) against: Option<String>,
    pub(crate) bound: Bound,
}

/// Servers that are run in turn, and what is claimed.
#[derive(Clone, Debug)]
pub(crate) struct Scene {
    pub(crate) row: &'static str,
    pub(crate) title: String,
    pub(crate) contenders: Vec<Contender>,
    pub(crate) claims: Vec<Claim>,
    /// Rounds, where these are others than usual.
    pub(crate) rounds: Option<usize>,
    /// Columns of the table of figures.
    pub(crate) shows: &'static [Metric],
}

/// What most rows show.
pub(crate) const USUAL: &[Metric] = &[Metric::Cpu, Metric::Rate, Metric::P50, Metric::P99, Metric::LoadBusy];

impl Scene {
    pub(crate) fn new(row: &'static str, title: impl Into<String>) -> Scene {
        let title = title.into();
        Scene { row, title, contenders: Vec::new(), claims: Vec::new(), rounds: None, shows: USUAL }
    }

    /// A server more, under the load of this scene. Peers come first, ours last.
    pub(crate) fn with(mut self, program: Program, work: Work, load: &Load, pinned: bool) -> Scene {
        self.contenders.push(Contender { name: program.name(), program, work, load: load.clone(), pinned });
        self
    }

    /// The last one under another name.
    pub(crate) fn named(mut self, name: &str) -> Scene {
        if let Some(last) = self.contenders.last_mut() {
            last.name = name.into();
        }
        self
    }

    /// The last one's figure is at most so many times that of `peer`.
    pub(crate) fn at_most(self, metric: Metric, limit: f64, peer: &str) -> Scene {
        self.claim(metric, Some(peer), Bound::AtMost(limit))
    }

    /// The last one's figure is at least so many times that of `peer`.
    pub(crate) fn at_least(self, metric: Metric, limit: f64, peer: &str) -> Scene {
        self.claim(metric, Some(peer), Bound::AtLeast(limit))
    }

    /// The last one's figure itself is so bounded.
    pub(crate) fn holds(self, metric: Metric, bound: Bound) -> Scene {
        self.claim(metric, None, bound)
    }

    pub(crate) fn rounds(mut self, rounds: usize) -> Scene {
        self.rounds = Some(rounds);
        self
    }

    pub(crate) fn shows(mut self, metrics: &'static [Metric]) -> Scene {
        self.shows = metrics;
        self
    }

    fn claim(mut self, metric: Metric, against: Option<&str>, bound: Bound) -> Scene {
        let ours = self.contenders.last().map(|contender| contender.name.clone()).unwrap_or_default();
        self.claims.push(Claim { metric, ours, against: against.map(String::from), bound });
        self
    }
}
