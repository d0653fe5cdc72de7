//! What fleets cost, and what each of their routes does.
//!
//! What a fleet costs is shared out among the routes that lead to it by their requests, as counted since this process
//! began: an instance serves them all.

use axum::{Json, extract};
use serde::Serialize;
use tidegate_control::view::{BudgetView, CostView, FleetView};
use tidegate_core::{FleetId, RouteId, telemetry::Totals};

use super::fleets::Items;
use crate::state::State;

/// One fleet.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FleetCost {
    fleet: FleetId,
    cost: CostView,
    #[serde(skip_serializing_if = "Option::is_none")]
    budget: Option<BudgetView>,
    routes: Vec<RouteCost>,
}

/// The part of one route.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct RouteCost {
    route: RouteId,
    requests: u64,
    /// Of the fleet's requests.
    share: f64,
    instance_hours: f64,
    usd: Option<f64>,
}

pub(crate) async fn list(extract::State(state): extract::State<State>) -> Json<Items<FleetCost>> {
    let totals = state.telemetry.routes();
    Json(Items { items: state.view().fleets.iter().map(|fleet| cost(fleet, &totals)).collect() })
}

fn cost(fleet: &FleetView, totals: &[(RouteId, Totals)]) -> FleetCost {
    let requests = |totals: &Totals| totals.statuses.iter().sum::<u64>();
    let own = || totals.iter().filter(|(route, _)| fleet.routes.contains(route));
    let all: u64 = own().map(|(_, totals)| requests(totals)).sum();
    let route = |(route, totals): &(RouteId, Totals)| {
        let requests = requests(totals);
        let share = requests as f64 / (all as f64).max(1.0);
        RouteCost {
            route: route.clone(),
            requests,
            share,
            instance_hours: fleet.cost.instance_hours * share,
            usd: fleet.cost.usd.map(|usd| usd * share),
        }
    };
    FleetCost {
        fleet: fleet.name.clone(),
        cost: fleet.cost,
        budget: fleet.budget,
        routes: own().map(route).collect(),
    }
}
