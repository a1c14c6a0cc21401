//! Latencies of requests, in a histogram with three significant digits. Knows nothing of how they are measured.

use anyhow::{Context, Result};
use hdrhistogram::Histogram;
use serde_json::{Value, json};

/// From 1 us on; a request that took less counts as that.
const LOWEST_NS: u64 = 1_000;
/// A longer one counts as that.
const HIGHEST_NS: u64 = 120_000_000_000;
/// The histogram tells latencies of this many ns apart and no shorter ones: the greatest power of two in `LOWEST_NS`.
const UNIT_NS: u64 = 1 << LOWEST_NS.ilog2();
/// Latencies that are counted by unit first: up to 8 ms, where mostly all are.
const UNITS: usize = 16 * 1_024;

/// Counts, and the histogram that they are put into to be read.
pub(crate) struct Latencies {
    /// Of each unit: a request more is one addition, where the histogram has a bucket to look for.
    counts: Vec<u64>,
    longer: Histogram<u64>,
}

/// What was counted, to be read.
pub(crate) struct Distribution(Histogram<u64>);

impl Latencies {
    pub(crate) fn new() -> Result<Latencies> {
        let longer =
            Histogram::new_with_bounds(LOWEST_NS, HIGHEST_NS, 3).context("making the histogram of latencies")?;
        Ok(Latencies { counts: vec![0; UNITS], longer })
    }

    #[inline]
    pub(crate) fn record(&mut self, ns: u64, count: u64) {
        match usize::try_from(ns / UNIT_NS).ok().and_then(|unit| self.counts.get_mut(unit)) {
            Some(counted) => *counted += count,
            None => self.longer.saturating_record_n(ns, count),
        }
    }

    pub(crate) fn reset(&mut self) {
        self.counts.fill(0);
        self.longer.reset();
    }

    /// All of them.
    pub(crate) fn distribution(&self) -> Distribution {
        let mut all = self.longer.clone();
        for (ns, &count) in (0..).step_by(UNIT_NS as usize).zip(&self.counts).filter(|(_, count)| **count > 0) {
            all.saturating_record_n(ns, count);
        }
        Distribution(all)
    }
}

impl Distribution {
    pub(crate) fn count(&self) -> u64 {
        self.0.len()
    }

    /// In microseconds.
    pub(crate) fn quantile_us(&self, quantile: f64) -> f64 {
        us(self.0.value_at_quantile(quantile))
    }

    /// The usual quantiles, in microseconds.
    pub(crate) fn json(&self) -> Value {
        json!({
            "requests": self.count(),
            "mean_us": self.0.mean() / 1e3,
            "p50_us": self.quantile_us(0.5),
            "p90_us": self.quantile_us(0.9),
            "p99_us": self.quantile_us(0.99),
            "p999_us": self.quantile_us(0.999),
            "max_us": us(self.0.max()),
        })
    }
}

fn us(ns: u64) -> f64 {
    ns as f64 / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counting by unit loses nothing: what is read is what a histogram alone would have told.
    #[test]
    fn what_is_read_is_what_the_histogram_would_have_told() -> Result<()> {
        let mut latencies = Latencies::new()?;
        let mut plain = Histogram::new_with_bounds(LOWEST_NS, HIGHEST_NS, 3)?;
        let mut ns: u64 = 1;
        while ns < 1_000_000_000_000 {
            latencies.record(ns, ns % 7 + 1);
            plain.saturating_record_n(ns, ns % 7 + 1);
            ns += ns / 50 + 1;
        }
        let all = latencies.distribution();
        assert_eq!(all.count(), plain.len());
        assert_eq!(all.0.max(), plain.max());
        for permille in 0..=1_000 {
            let quantile = f64::from(permille) / 1e3;
            assert_eq!(all.0.value_at_quantile(quantile), plain.value_at_quantile(quantile), "{quantile}");
        }
        assert!((all.0.mean() / plain.mean() - 1.0).abs() < 1e-9);
        latencies.reset();
        assert_eq!(latencies.distribution().count(), 0);
        Ok(())
    }
}
