//! `liaison report`: the figures of a period, and the joint report on them.

mod joint;
mod period;
mod shown;

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use self::period::{PeriodArgs, Zone};
use super::connect::{Desk, Target};
use super::exit::{Done, Exit, Failure};
use super::print::{Screen, write_private};
use super::refused;
use crate::document;
use crate::model::json;
use crate::proto::v1;

/// Shows the figures of a period, computed from what both logs say.
///
/// Counted is what both sides hold, so that both find the same: docs/statistics.md defines each
/// figure. Exercises and tests do not count.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Report {
    #[command(subcommand)]
    joint: Option<Joint>,
    #[command(flatten)]
    show: Show,
}

#[derive(Debug, Subcommand)]
enum Joint {
    Propose(Box<joint::Propose>),
    Verify(joint::Verify),
    Countersign(Box<joint::Countersign>),
}

#[derive(Debug, Args)]
struct Show {
    #[command(flatten)]
    period: PeriodArgs,
    /// How it is written.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Write it to this file instead of standard output. Nothing is overwritten.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// With --format json: name the messages that make up each figure.
    #[arg(long)]
    entries: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For reading on a terminal.
    Table,
    /// For programs: names are stable.
    Json,
    /// For spreadsheets: evaluates nothing.
    Csv,
    /// One page with charts, to be printed in A4.
    Html,
}

impl Report {
    pub(crate) async fn run(self, target: &Target, screen: Screen) -> Done {
        match self.joint {
            None => self.show.run(target, screen).await,
            Some(Joint::Propose(propose)) => propose.run(target, screen).await,
            Some(Joint::Verify(verify)) => verify.run(target, screen).await,
            Some(Joint::Countersign(countersign)) => countersign.run(target, screen).await,
        }
    }
}

impl Show {
    async fn run(self, target: &Target, screen: Screen) -> Done {
        let zone = self.period.zone(target)?;
        let request = v1::ReportRequest {
            entries: self.entries,
            ..self.period.request(&zone)?
        };
        let desk = target.connect().await?;
        let answer = ask(&desk, request).await?;
        let format = if screen.json {
            Format::Json
        } else {
            self.format
        };
        let text = written(&answer, &zone, format, screen);
        match &self.out {
            Some(file) => {
                write_private(file, text.as_bytes())?;
                screen.line(file.display().to_string())?;
            }
            None if format == Format::Json => screen.json(&json::to_json_whole(&answer))?,
            None => screen.raw(text.as_bytes())?,
        }
        Ok(Exit::Ok)
    }
}

fn written(answer: &v1::ReportResponse, zone: &Zone, format: Format, screen: Screen) -> String {
    let report = document::report::Report {
        answer,
        zone: &zone.zone,
    };
    match format {
        Format::Table => shown::table(&report, screen),
        Format::Json => format!("{:#}\n", json::to_json_whole(answer)),
        Format::Csv => report.csv(),
        Format::Html => report.page(),
    }
}

async fn ask(desk: &Desk, request: v1::ReportRequest) -> Result<v1::ReportResponse, Failure> {
    refused::answer(desk.desk().report(request).await)
}
