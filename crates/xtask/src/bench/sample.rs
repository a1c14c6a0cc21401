//! What one run of one server gave. Knows nothing of other runs.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// What can be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Metric {
    /// CPU time of the server for one request, user and system, in microseconds.
    Cpu,
    /// Requests a second.
    Rate,
    /// Bytes a second, both ways together.
    Bytes,
    /// The median latency, in microseconds.
    P50,
    /// The 99th percentile of the latency, in microseconds.
    P99,
    /// How long the whole work took, in seconds.
    Seconds,
    /// Memory of the server for one connection, in bytes.
    Memory,
    /// Connections of the reactor with the most, less those of the one with the fewest.
    Unevenness,
    /// Connections accepted while a handler kept the main thread busy.
    AcceptedBusy,
    /// Bytes read while a handler kept the main thread busy.
    ReadBusy,
    /// Connections that got back anything but what they had sent.
    Wrong,
    /// The share of one core that the load generator used.
    LoadBusy,
}

impl Metric {
    /// What a table calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Metric::Cpu => "CPU us a request",
            Metric::Rate => "requests/s",
            Metric::Bytes => "MB/s",
            Metric::P50 => "p50 us",
            Metric::P99 => "p99 us",
            Metric::Seconds => "seconds",
            Metric::Memory => "bytes a connection",
            Metric::Unevenness => "connections from an even split",
            Metric::AcceptedBusy => "accepted while busy",
            Metric::ReadBusy => "bytes read while busy",
            Metric::Wrong => "connections answered wrong",
            Metric::LoadBusy => "load busy",
        }
    }

    /// A value as a table shows it.
    pub(crate) fn shown(self, value: f64) -> String {
        match self {
            Metric::Bytes => format!("{:.0}", value / 1e6),
            Metric::LoadBusy => format!("{:.0} %", value * 100.0),
            Metric::Cpu => format!("{value:.3}"),
            Metric::Seconds => format!("{value:.3}"),
            Metric::Rate
            | Metric::P50
            | Metric::P99
            | Metric::Memory
            | Metric::Unevenness
            | Metric::AcceptedBusy
            | Metric::ReadBusy
            | Metric::Wrong => format!("{value:.0}"),
        }
    }
}

/// The figures of one run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sample(BTreeMap<Metric, f64>);

impl Sample {
    /// With one figure.
    pub(crate) fn of(metric: Metric, value: f64) -> Sample {
        Sample(BTreeMap::from([(metric, value)]))
    }

    /// With one figure more.
    pub(crate) fn with(mut self, metric: Metric, value: f64) -> Sample {
        self.0.insert(metric, value);
        self
    }

    /// From what `reactor-load run --json` prints.
    pub(crate) fn of_load(report: &Value) -> Result<Sample> {
        let number = |value: &Value, name: &str| value[name].as_f64().with_context(|| format!("no {name} in {report}"));
        if number(report, "requests")? == 0.0 {
            bail!("no request was answered while it was measured");
        }
        let latency = &report["latency"];
        Ok(Sample::of(Metric::Rate, number(report, "requests_per_second")?)
            .with(Metric::Bytes, number(report, "bytes_per_second")?)
            .with(Metric::Cpu, number(report, "server_cpu_us_per_request")?)
            .with(Metric::LoadBusy, number(report, "load_busy")?)
            .with(Metric::Seconds, number(report, "seconds")?)
            .with(Metric::P50, number(latency, "p50_us")?)
            .with(Metric::P99, number(latency, "p99_us")?))
    }

    /// One of its figures, if it has that.
    pub(crate) fn get(&self, metric: Metric) -> Option<f64> {
        self.0.get(&metric).copied()
    }
}
