//! Golden MRZ lines, check digits, and what is refused.

use super::*;

fn lines(zone: &[&str]) -> Vec<String> {
    zone.iter().map(|line| (*line).to_owned()).collect()
}

/// Specimens of Doc 9303 parts 4, 5 and 6, with the number that each identifies.
const SPECIMENS: [(&[&str], &str); 5] = [
    (
        &[
            "P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<",
            "L898902C36UTO7408122F1204159ZE184226B<<<<<10",
        ],
        "L898902C3",
    ),
    (
        &[
            "I<UTOD231458907<<<<<<<<<<<<<<<",
            "7408122F1204159UTO<<<<<<<<<<<6",
            "ERIKSSON<<ANNA<MARIA<<<<<<<<<<",
        ],
        "D23145890",
    ),
    (
        &[
            "I<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<",
            "D231458907UTO7408122F1204159<<<<<<<6",
        ],
        "D23145890",
    ),
    // The document number is longer than its field.
    (
        &[
            "I<UTOD23145890<7349<<<<<<<<<<<",
            "3407127M9507122UTO<<<<<<<<<<<2",
            "STEVENSON<<PETER<JOHN<<<<<<<<<",
        ],
        "D23145890734",
    ),
    (
        &[
            "I<UTOSTEVENSON<<PETER<JOHN<<<<<<<<<<",
            "D23145890<UTO3407127M95071227349<<<8",
        ],
        "D23145890734",
    ),
];

#[test]
fn specimens_of_icao_are_read() {
    for (zone, number) in SPECIMENS {
        let zone = parse(&lines(zone)).unwrap();
        assert_eq!(zone.number, number);
        assert_eq!(
            (zone.issuer.as_str(), zone.nationality.as_str()),
            ("UTO", "UTO")
        );
    }
    let passport = parse(&lines(SPECIMENS[0].0)).unwrap();
    assert_eq!(passport.format, Format::Td3);
    assert_eq!(passport.document_code, "P");
    assert_eq!(passport.birth_date, "740812");
    assert_eq!(passport.sex, 'F');
    assert_eq!(passport.expiry_date, "120415");
    assert_eq!(passport.optional, ["ZE184226B"]);
    assert_eq!(passport.name, "ERIKSSON<<ANNA<MARIA");
}

#[test]
fn check_digits_of_icao() {
    // Doc 9303-3, appendix A to section 4.
    assert_eq!(check_digit("520727"), '3');
    assert_eq!(check_digit("AB2134<<<"), '5');
    assert_eq!(check_digit("HA672242<658022549601086<<<<<<<<<<<<<<0"), '8');
    assert_eq!(
        check_digit("D231458907<<<<<<<<<<<<<<<34071279507122<<<<<<<<<<"),
        '2'
    );
}

#[test]
fn every_wrong_digit_is_named_with_the_right_one() {
    for (line, position, what, right) in [
        (1, 9, "the document number", '6'),
        (1, 19, "the date of birth", '2'),
        (1, 27, "the date of expiry", '9'),
        (1, 42, "the personal number", '1'),
        (1, 43, "the composite", '0'),
    ] {
        let mut zone = lines(SPECIMENS[0].0);
        zone[line].replace_range(position..=position, "8");
        let faults = parse(&zone).unwrap_err();
        let reason = format!(
            "the check digit of {what}, character {}, is 8 and should be {right}",
            position + 1
        );
        let told: Vec<_> = faults.into_iter().map(|f| (f.line, f.reason)).collect();
        assert_eq!(told, [(line, reason)], "one digit, one fault");
    }
}

/// A check digit finds every single substitution, but for characters whose values are equal
/// modulo 10 (such as A and K): that is all that ICAO's weights can do.
#[test]
fn single_substitutions_in_covered_fields_are_found() {
    for (zone, _) in SPECIMENS {
        let zone = lines(zone);
        let line = 1;
        for position in 0..zone[line].len() {
            let old = zone[line].as_bytes()[position];
            if !old.is_ascii_digit() {
                continue;
            }
            for new in b'0'..=b'9' {
                let mut changed = zone.clone();
                changed[line].replace_range(position..=position, &char::from(new).to_string());
                assert_eq!(parse(&changed).is_ok(), new == old, "{changed:?}");
            }
        }
    }
}

#[test]
fn other_layouts_and_alphabets_are_refused() {
    let passport = lines(SPECIMENS[0].0);
    let edit = |line: usize, from: usize, with: &str| {
        let mut zone = passport.clone();
        zone[line].replace_range(from..from + with.len(), with);
        parse(&zone).unwrap_err()
    };
    assert!(parse(&[]).unwrap_err()[0].reason.contains("0 lines"));
    assert!(
        parse(&passport[..1]).unwrap_err()[0]
            .reason
            .contains("1 lines")
    );
    assert!(edit(0, 5, "e")[0].reason.contains("character 6 is none of"));
    assert!(edit(0, 0, "V")[0].reason.contains("begins with V"));
    assert!(edit(0, 5, "3")[0].reason.contains("contains a digit"));
    assert!(edit(0, 2, "<")[0].reason.contains("is empty"));
    assert!(edit(1, 20, "Q")[0].reason.contains("the sex is Q"));
    assert!(
        edit(1, 15, "13")
            .iter()
            .any(|f| f.reason.contains("no date"))
    );

    let mut short = passport.clone();
    short[1].pop();
    assert!(
        parse(&short).unwrap_err()[0]
            .reason
            .contains("43 characters")
    );
    let mut wide = passport.clone();
    wide[0] = "友".repeat(44);
    assert!(!parse(&wide).unwrap_err().is_empty());
}

#[test]
fn an_empty_personal_number_may_have_a_filler_for_its_digit() {
    let fields = Fields {
        document_code: "P",
        issuer: "VNM",
        number: "C1234567",
        nationality: "VNM",
        birth_date: "90<<<<",
        sex: '<',
        expiry_date: "300101",
        optional: "",
        name: "MAU<<AN",
    };
    let mut zone = td3(&fields).to_vec();
    assert_eq!(parse(&zone).unwrap().number, "C1234567");
    assert_eq!(&zone[1][42..43], "0");
    zone[1].replace_range(42..43, "<");
    assert!(parse(&zone).is_ok());
    let card = Fields {
        document_code: "ID",
        optional: "001090000001",
        ..fields
    };
    assert_eq!(parse(td2(&card).as_ref()).unwrap().birth_date, "90<<<<");
    assert_eq!(
        parse(td1(&card).as_ref()).unwrap().optional[0],
        "001090000001"
    );
}
