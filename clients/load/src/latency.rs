//! Latencies of requests, in a histogram with three significant digits. Knows nothing of how they are measured.

use anyhow::{Context, Result};
use hdrhistogram::Histogram;
use serde_json::{Value, json};

/// From 1 us on; a request that took less counts as that.
const LOWEST_NS: u64 = 1_000;
/// A longer one counts as that.
const HIGHEST_NS: u64 = 120_000_000_000;

/// One histogram.
pub(crate) struct Latencies(Histogram<u64>);

impl Latencies {
    pub(crate) fn new() -> Result<Latencies> {
        let histogram = Histogram::new_with_bounds(LOWEST_NS, HIGHEST_NS, 3);
        Ok(Latencies(histogram.context("making the histogram of latencies")?))
    }

    pub(crate) fn record(&mut self, ns: u64, count: u64) {
        self.0.saturating_record_n(ns, count);
    }

    pub(crate) fn reset(&mut self) {
        self.0.reset();
    }

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
