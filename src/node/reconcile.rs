//! Reconcile: observe, plan, apply, and observe again until there is nothing left to do.

use std::collections::VecDeque;

use tracing::{info, warn};

use super::parts::{Failure, Parts};
use crate::desired::slice::DesiredNode;
use crate::health::Verdict;
use crate::observed::ObservedNode;
use crate::plan::{Action, Plan, plan};

/// Rounds of observe, plan, apply in one step. A settled node takes one; a change takes two; more means that
/// something changes under us, which the next step looks at again.
const ROUNDS: usize = 4;
/// Repairs that are remembered.
const REMEMBERED: usize = 32;

/// Makes one node match, step by step.
#[derive(Default)]
pub struct Reconciler {
    /// Whether this desired state was already reached once, so that a change since then is drift.
    reached: Option<DesiredNode>,
    repaired: VecDeque<String>,
}

/// How a step ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// The last observation.
    pub observed: ObservedNode,
    /// The plan for it: empty on a settled node.
    pub plan: Plan,
    /// Actions that failed in this step.
    pub failures: Vec<Failure>,
}

impl Reconciler {
    /// One step. What the gate says is asked for when it is needed: an observation may take long.
    pub async fn step(
        &mut self,
        parts: &Parts,
        desired: &DesiredNode,
        verdict: impl Fn() -> Verdict,
    ) -> Step {
        let mut failures = Vec::new();
        let mut round = 0;
        loop {
            let observed = parts.observe().await;
            let plan = plan(desired, &observed, &verdict());
            round += 1;
            if plan.actions.is_empty() || round > ROUNDS || !failures.is_empty() {
                if plan.actions.is_empty() && self.reached.as_ref() != Some(desired) {
                    self.reached = Some(desired.clone());
                }
                return Step { observed, plan, failures };
            }
            self.report(desired, &plan);
            failures = parts.apply(&plan, |action| action.is_allowed_by(&verdict())).await;
            for failure in &failures {
                warn!(action = %failure.action, why = %failure.why, "an action failed");
            }
        }
    }

    /// What was changed by hand and put right, oldest first.
    pub fn repaired(&self) -> impl Iterator<Item = &String> {
        self.repaired.iter()
    }

    fn report(&mut self, desired: &DesiredNode, plan: &Plan) {
        let drifted = self.reached.as_ref() == Some(desired);
        for action in &plan.actions {
            if drifted && is_repair(action) {
                warn!(%action, "something was changed by hand; putting it right");
                self.repaired.push_back(action.to_string());
            } else {
                info!(%action, "acting");
            }
        }
        while self.repaired.len() > REMEMBERED {
            self.repaired.pop_front();
        }
    }
}

/// Whether the action can only be due to a change from outside, when what is desired did not change. What is
/// announced follows health and the time, too, and what is sent to follows who is heard.
fn is_repair(action: &Action) -> bool {
    match action {
        Action::Drain { .. }
        | Action::Withdraw { .. }
        | Action::RerouteMesh { .. }
        | Action::Announce { .. } => false,
        Action::RemoveAddress(_)
        | Action::ConfigureMesh { .. }
        | Action::AddAddress(_)
        | Action::ConfigureNameServer { .. }
        | Action::ChangeZones(_)
        | Action::ConfigureRouting { .. } => true,
    }
}
