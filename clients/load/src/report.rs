//! What a run was: figures as text for people, as JSON for programs. Knows nothing of how they came to be.

use serde_json::{Value, json};

use crate::latency::Distribution;

/// Above this share of its one core the generator may be what is measured.
const BOTTLENECK: f64 = 0.95;

/// The measured part of a run.
pub(crate) struct Report {
    pub(crate) seconds: f64,
    pub(crate) requests: u64,
    /// Of the requests and the replies together.
    pub(crate) bytes: u64,
    pub(crate) own_cpu_ns: u64,
    /// Of the processes that were named, all together.
    pub(crate) server_cpu_ns: Option<u64>,
    pub(crate) quick: Distribution,
    /// Where there were slow connections.
    pub(crate) slow: Option<Distribution>,
}

impl Report {
    fn per_second(&self) -> f64 {
        self.requests as f64 / self.seconds
    }

    fn us_per_request(&self, cpu_ns: u64) -> f64 {
        cpu_ns as f64 / 1e3 / self.requests.max(1) as f64
    }

    /// The share of one core that this program used.
    fn busy(&self) -> f64 {
        self.own_cpu_ns as f64 / 1e9 / self.seconds
    }

    pub(crate) fn json(&self) -> Value {
        json!({
            "seconds": self.seconds,
            "requests": self.requests,
            "requests_per_second": self.per_second(),
            "bytes_per_second": self.bytes as f64 / self.seconds,
            "server_cpu_us_per_request": self.server_cpu_ns.map(|ns| self.us_per_request(ns)),
            "server_cpu_cores": self.server_cpu_ns.map(|ns| ns as f64 / 1e9 / self.seconds),
            "load_cpu_us_per_request": self.us_per_request(self.own_cpu_ns),
            "load_busy": self.busy(),
            "load_was_bottleneck": self.busy() > BOTTLENECK,
            "latency": self.quick.json(),
            "slow": self.slow.as_ref().map(Distribution::json),
        })
    }

    pub(crate) fn text(&self) -> String {
        let mut lines = vec![
            format!("{:.0} requests/s ({} in {:.2} s)", self.per_second(), self.requests, self.seconds),
            format!("{:.1} MB/s, both ways together", self.bytes as f64 / self.seconds / 1e6),
            latency("latency", &self.quick),
        ];
        if let Some(slow) = &self.slow {
            lines.push(format!("slow connections: {} requests", slow.count()));
            lines.push(latency("their latency", slow));
        }
        if let Some(ns) = self.server_cpu_ns {
            lines.push(format!("server: {:.3} us of CPU a request", self.us_per_request(ns)));
        }
        let own = self.us_per_request(self.own_cpu_ns);
        lines.push(format!("load: {own:.3} us of CPU a request, busy {:.0} %", self.busy() * 100.0));
        if self.busy() > BOTTLENECK {
            lines.push("the load generator was the bottleneck: read the CPU figures, not requests/s".into());
        }
        lines.join("\n")
    }
}

fn latency(name: &str, latencies: &Distribution) -> String {
    let [p50, p90, p99, p999, max] = [0.5, 0.9, 0.99, 0.999, 1.0].map(|quantile| latencies.quantile_us(quantile));
    format!("{name} in us: p50 {p50:.0}, p90 {p90:.0}, p99 {p99:.0}, p99.9 {p999:.0}, max {max:.0}")
}
