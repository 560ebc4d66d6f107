//! A part of the year through real nodes, against the same part folded without any.

use super::*;
use crate::cli::status;
use crate::model::report::Period;
use crate::model::sample::year::{BEGINS_AT, Fold};
use crate::proto::v1;

/// 2025-02-15T00:00Z: six weeks, with Tết and the Spring Festival in them.
const UNTIL: i64 = 1_739_577_600_000;
/// Name, side and value of each figure that can be told.
type Figures = Vec<(String, String, i64)>;

fn of_node(report: &v1::ReportResponse) -> Figures {
    let figures = report.figures.iter();
    let told = figures.filter_map(|f| Some((f.name.clone(), f.side.clone(), f.value?)));
    let mut told: Figures = told.collect();
    told.sort();
    told
}

fn of_fold(year: &Year) -> Figures {
    let report = Fold::of(year).unwrap().report(Period {
        from: BEGINS_AT,
        to: ENDS_AT,
    });
    let figures = report.figures.iter();
    let told = figures.filter_map(|figure| {
        let side = report.side_name(figure.whose).to_owned();
        Some((figure.definition.name.clone(), side, figure.value.known()?))
    });
    let mut told: Figures = told.collect();
    told.sort();
    told
}

#[tokio::test(flavor = "multi_thread")]
async fn real_nodes_find_the_figures_of_the_pure_fold() {
    let dir = tempfile::tempdir().unwrap();
    sides::write_samples(&dir.path().join("samples")).unwrap();
    let mut pairs: Vec<Pair> = Year::pairs()
        .into_iter()
        .map(|year| Pair::make(dir.path(), year.until(UNTIL)).unwrap())
        .collect();
    replay_all(&mut pairs).await.unwrap();
    let lived = judge_all(&pairs).await.unwrap();
    for (pair, lived) in pairs.iter_mut().zip(&lived) {
        assert!(pair.year.events.len() > 100);
        assert!(lived.judged.is_clean());
        let expected = of_fold(&pair.year);
        for report in &lived.joint.reports {
            assert_eq!(of_node(report), expected, "{}", report.node);
        }
        // A clock that jumps is no reason to suspect the peer's.
        for side in [&pair.sides.vn, &pair.sides.cn] {
            let status = status::get(side.desk().unwrap()).await.unwrap();
            assert_eq!(status.incidents, []);
        }
        pair.sides.stop().await;
    }
}
