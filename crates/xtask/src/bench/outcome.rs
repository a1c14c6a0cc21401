//! What a scene gave, and whether its claims hold. Knows nothing of how samples are taken or shown.

use crate::bench::ratio::{Ratio, median, ratio};
use crate::bench::sample::{Metric, Sample};
use crate::bench::scene::{Bound, Claim, Scene};

/// Above this share of its core the load generator may be what was measured.
const LOAD_BOUND: f64 = 0.95;

/// The samples of a scene.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) scene: Scene,
    /// For each contender, in the order of the scene.
    pub(crate) samples: Vec<Vec<Sample>>,
    /// What could not be measured, and why: name and reason.
    pub(crate) gaps: Vec<(String, String)>,
}

/// What became of a claim.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Verdict {
    /// By more than the noise, where that is known.
    Met,
    /// The figure is no further from the limit than the noise.
    TooClose,
    Missed,
    Unmeasured,
}

impl Verdict {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Verdict::Met => "met",
            Verdict::TooClose => "within noise",
            Verdict::Missed => "**missed**",
            Verdict::Unmeasured => "not measured",
        }
    }
}

/// A claim beside what was found.
#[derive(Clone, Debug)]
pub(crate) struct Finding {
    pub(crate) claim: Claim,
    pub(crate) ours: Option<f64>,
    pub(crate) peer: Option<f64>,
    /// Where it is against a peer.
    pub(crate) ratio: Option<Ratio>,
    pub(crate) verdict: Verdict,
    /// Whether the load generator had no time left: requests a second then say little of the server.
    pub(crate) load_bound: bool,
}

impl Outcome {
    /// Nothing measured yet.
    pub(crate) fn new(scene: Scene) -> Outcome {
        Outcome { samples: vec![Vec::new(); scene.contenders.len()], scene, gaps: Vec::new() }
    }

    /// One figure of all samples of a contender.
    pub(crate) fn series(&self, name: &str, metric: Metric) -> Vec<f64> {
        let at = self.scene.contenders.iter().position(|contender| contender.name == name);
        let samples = at.map(|at| &self.samples[at]);
        samples.into_iter().flatten().filter_map(|sample| sample.get(metric)).collect()
    }

    /// The median of that.
    pub(crate) fn figure(&self, name: &str, metric: Metric) -> Option<f64> {
        median(self.series(name, metric))
    }

    /// Each claim with its figures and verdict.
    pub(crate) fn findings(&self) -> Vec<Finding> {
        self.scene.claims.iter().map(|claim| self.finding(claim)).collect()
    }

    /// The fewest steady pairs of any claim; the most there can be, where no claim needs any.
    pub(crate) fn steady_pairs(&self) -> usize {
        let ratios = self.scene.claims.iter().filter(|claim| claim.against.is_some());
        ratios.filter_map(|claim| Some(self.ratio(claim)?.kept)).min().unwrap_or(usize::MAX)
    }

    fn ratio(&self, claim: &Claim) -> Option<Ratio> {
        let base = self.series(claim.against.as_ref()?, claim.metric);
        ratio(&base, &self.series(&claim.ours, claim.metric))
    }

    fn finding(&self, claim: &Claim) -> Finding {
        let ours = self.figure(&claim.ours, claim.metric);
        let peer = claim.against.as_ref().and_then(|peer| self.figure(peer, claim.metric));
        let ratio = self.ratio(claim);
        let verdict = match (&claim.against, ours, ratio) {
            (None, Some(ours), _) => verdict(ours, 0.0, claim.bound),
            (Some(_), _, Some(ratio)) => verdict(ratio.median, ratio.noise.unwrap_or(0.0), claim.bound),
            _ => Verdict::Unmeasured,
        };
        let busy = self.figure(&claim.ours, Metric::LoadBusy).unwrap_or(0.0);
        let load_bound = claim.metric == Metric::Rate && busy > LOAD_BOUND;
        Finding { claim: claim.clone(), ours, peer, ratio, verdict, load_bound }
    }
}

fn verdict(value: f64, noise: f64, bound: Bound) -> Verdict {
    let spare = match bound {
        Bound::AtMost(limit) => limit - value,
        Bound::AtLeast(limit) => value - limit,
    };
    // Without noise the limit itself is met.
    if spare > noise || (noise == 0.0 && spare >= 0.0) {
        Verdict::Met
    } else if spare >= -noise {
        Verdict::TooClose
    } else {
        Verdict::Missed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A target that is cleared by less than the noise is not claimed as met, and one missed by less not as missed.
    #[test]
    fn a_verdict_takes_the_noise_into_account() {
        assert_eq!(verdict(0.98, 0.01, Bound::AtMost(1.0)), Verdict::Met);
        assert_eq!(verdict(0.995, 0.01, Bound::AtMost(1.0)), Verdict::TooClose);
        assert_eq!(verdict(1.005, 0.01, Bound::AtMost(1.0)), Verdict::TooClose);
        assert_eq!(verdict(1.02, 0.01, Bound::AtMost(1.0)), Verdict::Missed);
        assert_eq!(verdict(0.99, 0.01, Bound::AtLeast(0.97)), Verdict::Met);
        assert_eq!(verdict(0.95, 0.01, Bound::AtLeast(0.97)), Verdict::Missed);
        assert_eq!(verdict(224.0, 0.0, Bound::AtMost(224.0)), Verdict::Met);
    }
}
