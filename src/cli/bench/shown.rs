//! The result as people read it.

use super::bounds::{Bounds, FORMULAS, Ratios};
use super::limits::Limits;
use super::report::{FlashRun, Latency, Measured, ProofRun, Report, Run, VerifyRun};
use crate::cli::exit::Failure;
use crate::cli::print::Screen;
use crate::cli::table::{Fit, Style, Table};

/// Prints limits, figures and what was reached of the bounds.
pub(super) fn tell(report: &Report, screen: Screen) -> Result<(), Failure> {
    if let Some(failed) = report.failed {
        let told = format!("This is not all: {failed} did not come to its end");
        screen.styled(&told, Style::Bad)?;
        screen.line("")?;
    }
    limits(report, screen)?;
    for measured in &report.runs {
        screen.line("")?;
        match measured {
            Measured::Load(run) => load(run, &report.limits, screen)?,
            Measured::Flash(run) => flash(run, screen)?,
            Measured::Proof(run) => proof(run, screen)?,
            Measured::Verify(run) => verify(run, screen)?,
        }
    }
    Ok(())
}

fn load(run: &Run, limits: &Limits, screen: Screen) -> Result<(), Failure> {
    figures(run, screen)?;
    if let (Some(bounds), Some(ratios)) = (&run.bounds, &run.ratios) {
        screen.line("")?;
        reached(bounds, ratios, limits, screen)?;
    }
    Ok(())
}

/// Times in ms, one row for each that is there.
fn times(
    head: &'static str,
    rows: &[(&str, Option<&Latency>)],
    screen: Screen,
) -> Result<(), Failure> {
    let mut table = Table::new(&[
        ("", Fit::Whole),
        (head, Fit::Whole),
        ("p50", Fit::Right),
        ("p90", Fit::Right),
        ("p99", Fit::Right),
        ("p99.9", Fit::Right),
        ("max", Fit::Right),
    ]);
    for (what, times) in rows {
        let Some(Latency {
            p50,
            p90,
            p99,
            p999,
            max,
        }) = times
        else {
            continue;
        };
        let [p50, p90, p99, p999, max] =
            [p50, p90, p99, p999, max].map(|micros| format!("{:.3}", micros / 1e3));
        table.row([
            "  ".into(),
            (*what).into(),
            p50.into(),
            p90.into(),
            p99.into(),
            p999.into(),
            max.into(),
        ]);
    }
    screen.table(&table)
}

fn flash(run: &FlashRun, screen: Screen) -> Result<(), Failure> {
    let title = format!(
        "{}: an alert while {} letters of {} bytes drain; {}",
        run.scenario,
        thousands_of(run.count),
        thousands_of(run.payload_bytes as u64),
        match run.rounds {
            1 => "1 round".to_owned(),
            rounds => format!("{rounds} rounds together"),
        },
    );
    screen.styled(&title, Style::Bold)?;
    let rows = [
        ("idle link", run.shown_idle.as_ref()),
        ("while they drain", run.shown_draining.as_ref()),
    ];
    times("SUBMIT TO SHOWN AT THE PEER, ms", &rows, screen)?;
    screen.line(format!(
        "    {} alerts on the idle link, {} sent while letters drained, {} letters a second",
        thousands_of(run.alerts_idle),
        thousands_of(run.alerts_draining),
        thousands(run.drained_per_second)
    ))?;
    match run.p99_to_idle {
        Some(ratio) => screen.line(format!("    p99 is {ratio:.2} × that of the idle link")),
        None => screen
            .line("    They had drained before the first alert was sent: choose a larger --count"),
    }
}

fn proof(run: &ProofRun, screen: Screen) -> Result<(), Failure> {
    let title = format!(
        "{}: inclusion proofs of a log of {} entries, {} of them",
        run.scenario,
        thousands_of(run.entries),
        thousands_of(run.proofs)
    );
    screen.styled(&title, Style::Bold)?;
    let rows = [
        ("over the desk", Some(&run.over_desk)),
        ("in this process", Some(&run.in_process)),
    ];
    times("A PROOF, ms", &rows, screen)
}

fn verify(run: &VerifyRun, screen: Screen) -> Result<(), Failure> {
    let title = format!(
        "{}: an export of {} entries; {}",
        run.scenario,
        thousands_of(run.entries),
        match run.rounds {
            1 => "1 round".to_owned(),
            rounds => format!("median of {rounds} rounds"),
        },
    );
    screen.styled(&title, Style::Bold)?;
    screen.line(format!(
        "    {} entries a second, {:.1} % of {} (cores ÷ strict verify, every core busy)",
        thousands(run.per_second),
        run.of_bound * 100.0,
        thousands(run.bound_per_second)
    ))
}

fn limits(report: &Report, screen: Screen) -> Result<(), Failure> {
    let (machine, limits) = (&report.machine, &report.limits);
    screen.styled("What this machine can do", Style::Bold)?;
    screen.line(format!(
        "    {} cores, {}, Linux {}",
        machine.cores, machine.model, machine.kernel
    ))?;
    let mut table = Table::new(&[
        ("", Fit::Whole),
        ("LIMIT", Fit::Whole),
        ("µs", Fit::Right),
        ("A SECOND", Fit::Right),
        ("ALONE, µs", Fit::Right),
    ]);
    for (what, micros, alone) in [
        (
            "fdatasync, appended page",
            limits.fdatasync_append_micros,
            None,
        ),
        (
            "fdatasync, prewritten page",
            limits.fdatasync_prewritten_micros,
            None,
        ),
        (
            "Ed25519 sign, every core busy",
            limits.sign_micros,
            Some(limits.sign_micros_alone),
        ),
        (
            "Ed25519 strict verify, every core busy",
            limits.strict_verify_micros,
            Some(limits.strict_verify_micros_alone),
        ),
        (
            "SHA-256, 512 bytes, every core busy",
            limits.sha256_micros_of_512_bytes,
            Some(limits.sha256_micros_of_512_bytes_alone),
        ),
        (
            "SHA-256, 1 KiB of a long text, every core busy",
            limits.sha256_micros_per_kib,
            Some(limits.sha256_micros_per_kib_alone),
        ),
        ("mutual TLS, round trip", limits.tls_round_trip_micros, None),
        (
            "the steps of a single one, rested",
            limits.single_rested_micros,
            None,
        ),
        (
            "store, a record of a group of 128",
            limits.store_micros_per_record_of_128,
            None,
        ),
        (
            "store, a record of a group of 512",
            limits.store_micros_per_record_of_512,
            None,
        ),
    ] {
        table.row([
            "  ".into(),
            what.into(),
            short(micros).into(),
            thousands(1e6 / micros).into(),
            alone.map_or_else(String::new, short).into(),
        ]);
    }
    screen.table(&table)?;
    screen.line(format!(
        "    mutual TLS, a stream: {} MiB/s, {} µs of processor time for a MiB, both ends",
        thousands(limits.tls_mib_per_second),
        thousands(limits.tls_cpu_micros_per_mib)
    ))
}

fn figures(run: &Run, screen: Screen) -> Result<(), Failure> {
    let title = format!(
        "{}{}: {} notifications of {} bytes ({}) by {}, {} on their way until {}; {}",
        run.scenario,
        match (run.entries_before, run.links) {
            // Nothing but the warm-up.
            (entries, 1) if entries <= run.warm_up => String::new(),
            (entries, 1) => format!(" behind {} entries", thousands_of(entries)),
            (_, links) => format!(" over {links} links"),
        },
        thousands_of(run.count),
        thousands_of(run.payload_bytes as u64),
        run.mix,
        run.by,
        run.window,
        match run.window_until {
            "recorded" => "recorded",
            _ => "the receipt is verified",
        },
        match run.rounds {
            1 => "1 round".to_owned(),
            rounds => format!("median of {rounds} rounds"),
        },
    );
    screen.styled(&title, Style::Bold)?;
    screen.line(format!(
        "    {} a second, each signed, durable on both sides, its receipt verified and durable",
        thousands(run.per_second)
    ))?;
    screen.line(format!(
        "    {} were sent before to warm up, and are in no figure",
        thousands_of(run.warm_up)
    ))?;
    let rows = [
        ("recorded", Some(&run.recorded)),
        ("delivered", run.delivered.as_ref()),
        ("receipt verified", Some(&run.receipt_verified)),
    ];
    times("SINCE SUBMIT, ms", &rows, screen)?;
    screen.line("")?;

    let mut table = Table::new(&[
        ("", Fit::Whole),
        ("FOR EACH NOTIFICATION", Fit::Whole),
        ("SENDER", Fit::Right),
        ("RECEIVER", Fit::Right),
        ("LOAD", Fit::Right),
    ]);
    let shown = |figure: Option<f64>| figure.map_or_else(String::new, short);
    for (what, sender, receiver, load) in [
        (
            "processor time, µs",
            run.cpu_micros.sender,
            run.cpu_micros.receiver,
            Some(run.cpu_micros.generator),
        ),
        (
            "fdatasync and fsync",
            run.syncs.sender,
            run.syncs.receiver,
            None,
        ),
        ("commits", run.commits.sender, run.commits.receiver, None),
    ] {
        let [sender, receiver, load] = [sender, receiver, load].map(shown);
        table.row([
            "  ".into(),
            what.into(),
            sender.into(),
            receiver.into(),
            load.into(),
        ]);
    }
    screen.table(&table)?;
    let of_bytes = [
        ("on the wire", run.wire_bytes_per_payload_byte),
        ("written to disk", run.disk_written_per_payload_byte),
        ("kept on disk", run.disk_kept_per_payload_byte),
    ];
    let of_bytes: Vec<String> = of_bytes
        .into_iter()
        .filter_map(|(what, figure)| Some(format!("{:.2} {what}", figure?)))
        .collect();
    if of_bytes.is_empty() {
        return Ok(());
    }
    screen.line(format!(
        "    Bytes for each byte of payload, both sides: {}",
        of_bytes.join(", ")
    ))
}

fn reached(
    bounds: &Bounds,
    ratios: &Ratios,
    limits: &Limits,
    screen: Screen,
) -> Result<(), Failure> {
    screen.styled("Beside the bounds of this machine", Style::Bold)?;
    let [store_free, this_store, single, rested] = FORMULAS;
    let mut table = Table::new(&[
        ("", Fit::Whole),
        ("BOUND", Fit::Whole),
        ("", Fit::Right),
        ("REACHED", Fit::Right),
        ("FORMULA", Fit::Down(30)),
    ]);
    let a_second = |bound: f64| format!("{}/s", thousands(bound));
    let percent = |ratio: f64| format!("{:.1} %", ratio * 100.0);
    for ((name, formula), bound, ratio) in [
        (store_free, bounds.store_free_per_second, ratios.store_free),
        (this_store, bounds.this_store_per_second, ratios.this_store),
    ] {
        if let Some(ratio) = ratio {
            let row = [
                name.to_owned(),
                a_second(bound),
                percent(ratio),
                formula.to_owned(),
            ];
            table.row(std::iter::once("  ".into()).chain(row.map(Into::into)));
        }
    }
    for ((name, formula), bound, ratio) in [
        (single, bounds.single_micros, ratios.single),
        (rested, limits.single_rested_micros, ratios.single_rested),
    ] {
        if let Some(ratio) = ratio {
            let row = [
                name.to_owned(),
                format!("{:.3} ms", bound / 1e3),
                format!("{ratio:.2} ×"),
                formula.to_owned(),
            ];
            table.row(std::iter::once("  ".into()).chain(row.map(Into::into)));
        }
    }
    if !table.is_empty() {
        screen.table(&table)?;
    }
    if let Some(ratio) = ratios.single_p99_to_p50 {
        screen.line(format!("    p99 is {ratio:.2} × p50"))?;
    }
    if let Some(ratio) = ratios.cpu_to_cryptography {
        screen.line(format!(
            "    Processor time of both sides: {ratio:.2} × that of its cryptography alone"
        ))?;
    }
    Ok(())
}

/// Three digits of what matters.
fn short(value: f64) -> String {
    if value >= 100.0 {
        thousands(value)
    } else if value >= 1.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.3}")
    }
}

/// A whole number in groups of three digits.
fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

fn thousands_of(count: u64) -> String {
    let digits = count.to_string();
    digits.parse().map_or(digits, thousands)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(thousands(0.4), "0");
        assert_eq!(thousands(999.6), "1,000");
        assert_eq!(thousands_of(20_000), "20,000");
        assert_eq!(thousands(1_234_567.0), "1,234,567");
        assert_eq!(short(0.0123), "0.012");
        assert_eq!(short(12.34), "12.3");
    }
}
