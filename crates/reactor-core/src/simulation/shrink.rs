//! Owns the way from a plan that fails to the shortest one found that does. Knows nothing of why it fails.

use crate::options::{Framing, Order};
use crate::simulation::plan::{Plan, Setup};
use crate::simulation::run;

/// Runs that a shrinking may take.
const MOST_RUNS: u32 = 4_000;

struct Shrink {
    best: Plan,
    runs: u32,
}

/// A smaller plan that fails too, if not in the same way.
pub(crate) fn shrink(plan: Plan) -> Plan {
    let mut shrink = Shrink { best: plan, runs: 0 };
    loop {
        let before = shrink.size();
        shrink.fewer_steps();
        shrink.simpler_setup();
        shrink.shorter_streams();
        shrink.calmer_steps();
        if shrink.size() == before || shrink.runs >= MOST_RUNS {
            return shrink.best;
        }
    }
}

impl Shrink {
    fn size(&self) -> (usize, usize, usize) {
        let Plan { clients, steps, .. } = &self.best;
        (
            steps.len(),
            clients.iter().map(|(stream, _)| stream.len()).sum(),
            steps.iter().filter(|step| !step.calm).count(),
        )
    }

    /// Takes the plan if it fails; says whether it did.
    fn try_plan(&mut self, plan: Plan) -> bool {
        if self.runs >= MOST_RUNS {
            return false;
        }
        self.runs += 1;
        let fails = run(&plan, false).failure.is_some();
        if fails {
            self.best = plan;
        }
        fails
    }

    fn fewer_steps(&mut self) {
        let mut size = self.best.steps.len().div_ceil(2);
        while size > 0 {
            let mut at = self.best.steps.len();
            while at > 0 {
                at = at.saturating_sub(size);
                let mut plan = self.best.clone();
                plan.steps.drain(at..(at + size).min(plan.steps.len()));
                self.try_plan(plan);
            }
            size /= 2;
        }
    }

    fn calmer_steps(&mut self) {
        for at in 0..self.best.steps.len() {
            if !self.best.steps[at].calm {
                let mut plan = self.best.clone();
                plan.steps[at].calm = true;
                self.try_plan(plan);
            }
        }
    }

    fn simpler_setup(&mut self) {
        let simplifications: [fn(&mut Setup); 9] = [
            |setup| setup.tame = true,
            |setup| setup.workers = 0,
            |setup| setup.workers = setup.workers.min(1),
            |setup| setup.timeouts_ms = [0, 0, 0],
            |setup| setup.memory_limit_bytes = setup.memory_limit_bytes.max(1 << 24),
            |setup| setup.output_limit_bytes = setup.output_limit_bytes.max(100_000),
            |setup| setup.max_connections = 100,
            |setup| (setup.low_bytes, setup.high_bytes) = (1 << 20, 1 << 20),
            |setup| {
                if setup.framing != Framing::Raw || setup.order != Order::Serial {
                    setup.order = Order::Serial;
                }
            },
        ];
        for simplify in simplifications {
            let mut plan = self.best.clone();
            simplify(&mut plan.setup);
            if format!("{:?}", plan.setup) != format!("{:?}", self.best.setup) {
                self.try_plan(plan);
            }
        }
    }

    fn shorter_streams(&mut self) {
        for client in 0..self.best.clients.len() {
            for keep in [0, 1, 2, 3] {
                let len = self.best.clients[client].0.len();
                let shorter = match keep {
                    0 => 0,
                    1 => len / 2,
                    2 => len - len / 4,
                    _ => len.saturating_sub(1),
                };
                if shorter < len {
                    let mut plan = self.best.clone();
                    plan.clients[client].0.truncate(shorter);
                    self.try_plan(plan);
                }
            }
            if self.best.clients[client].1 < 200_000 {
                let mut plan = self.best.clone();
                plan.clients[client].1 = 200_000;
                self.try_plan(plan);
            }
        }
    }
}
