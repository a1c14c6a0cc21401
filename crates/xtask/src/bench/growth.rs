//! Growth, as curves: how the cost of a request, and the memory of a connection, change with what there is more of.
//! Knows nothing of drawing.

use crate::bench::outcome::Outcome;
use crate::bench::programs::{Program, Work};
use crate::bench::sample::Metric;
use crate::bench::scene::{Load, Scene};

/// A figure of several servers over what grows.
pub(crate) struct Curve {
    /// Of the file.
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) over: &'static str,
    pub(crate) metric: Metric,
    /// Where along the axis, and what is measured there.
    pub(crate) points: Vec<(u32, Scene)>,
}

/// What was measured of a curve.
pub(crate) struct Drawn {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) over: &'static str,
    pub(crate) metric: Metric,
    pub(crate) points: Vec<(u32, Outcome)>,
}

const ROUNDS: usize = 3;

/// All of them.
pub(crate) fn curves() -> Vec<Curve> {
    let cpu = |name, title, over, values: &[u32], arguments: &dyn Fn(u32) -> String| Curve {
        name,
        title,
        over,
        metric: Metric::Cpu,
        points: values.iter().map(|&value| (value, steady(title, value, &Load::run(&arguments(value))))).collect(),
    };
    vec![
        cpu(
            "connections",
            "CPU a request over connections (echo, 64 bytes, one in flight)",
            "connections",
            &[1, 10, 100, 1_000, 10_000],
            &|connections| format!("--connections {connections} --size 64"),
        ),
        cpu(
            "size",
            "CPU a request over its size (echo, 32 connections, one in flight)",
            "bytes",
            &[64, 1_024, 16_384, 262_144],
            &|size| format!("--connections 32 --size {size}"),
        ),
        cpu(
            "in-flight",
            "CPU a request over requests in flight (echo, 64 bytes, 128 connections)",
            "in flight",
            &[1, 2, 4, 8, 16, 32, 64],
            &|in_flight| format!("--connections 128 --size 64 --in-flight {in_flight}"),
        ),
        memory(),
    ]
}

fn steady(title: &str, value: u32, load: &Load) -> Scene {
    let mut scene = Scene::new("growth", format!("{title}: {value}"));
    for program in [Program::Raw { loops: 1 }, Program::Uv, Program::Single, Program::Pooled { workers: 2 }] {
        // With workers there is more than one thread to place.
        let pinned = !matches!(program, Program::Pooled { .. });
        scene = scene.with(program, Work::Echo, load, pinned);
    }
    scene.rounds(ROUNDS).shows(&[Metric::Cpu, Metric::Rate, Metric::LoadBusy])
}

fn memory() -> Curve {
    let title = "Memory of a connection over connections, quiet after an echo each";
    let point = |connections| {
        let load = Load::Hold { connections, touched: true };
        let mut scene = Scene::new("growth", format!("{title}: {connections}"));
        for program in [Program::Raw { loops: 1 }, Program::Uv, Program::Single, Program::Pooled { workers: 2 }] {
            scene = scene.with(program, Work::Echo, &load, true);
        }
        (connections, scene.rounds(1).shows(&[Metric::Memory]))
    };
    let points = [1_000, 3_000, 10_000, 19_000].map(point).into();
    Curve { name: "memory", title, over: "connections", metric: Metric::Memory, points }
}

impl Curve {
    /// The same with what `measure` makes of each point.
    pub(crate) fn measured(self, mut measure: impl FnMut(Scene) -> Outcome) -> Drawn {
        let Curve { name, title, over, metric, points } = self;
        let points = points.into_iter().map(|(value, scene)| (value, measure(scene))).collect();
        Drawn { name, title, over, metric, points }
    }
}

impl Drawn {
    /// The servers, in their order.
    pub(crate) fn servers(&self) -> Vec<String> {
        let first = self.points.first().map(|(_, outcome)| &outcome.scene.contenders);
        first.into_iter().flatten().map(|contender| contender.name.clone()).collect()
    }

    /// The figure of a server at each place where it was measured.
    pub(crate) fn line(&self, server: &str) -> Vec<(u32, f64)> {
        let at = |(value, outcome): &(u32, Outcome)| Some((*value, outcome.figure(server, self.metric)?));
        self.points.iter().filter_map(at).collect()
    }
}
