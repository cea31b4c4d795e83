//! `shoestring check --rpki`, as a person or a script runs it, on exports in the shapes of several validators.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/desired-state");

/// Exit status, standard output and standard error.
fn check(export: &Path, arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_shoestring"))
        .args(["check", EXAMPLE, "--rpki"])
        .arg(export)
        .args(arguments)
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn export(folder: &Path, text: &str) -> PathBuf {
    let path = folder.join("vrps.json");
    std::fs::write(&path, text).unwrap();
    path
}

fn report(folder: &Path, roas: &Value) -> (i32, Value) {
    let text = json!({ "metadata": { "generated": 1 }, "roas": roas, "aspas": [] }).to_string();
    let (status, out, err) = check(&export(folder, &text), &["--format", "json"]);
    assert_eq!(err, "");
    (status, serde_json::from_str(&out).unwrap())
}

fn vrp(asn: impl Into<Value>, prefix: &str, max_length: u8) -> Value {
    json!({ "asn": asn.into(), "prefix": prefix, "maxLength": max_length, "ta": "ripe" })
}

fn validities(report: &Value) -> Vec<(&str, &str)> {
    let verdicts = report["rpki"].as_array().unwrap().iter();
    verdicts.map(|v| (v["prefix"].as_str().unwrap(), v["validity"].as_str().unwrap())).collect()
}

#[test]
fn valid_prefixes_are_no_findings() {
    let folder = tempfile::tempdir().unwrap();
    let (status, report) = report(
        folder.path(),
        &json!([
            vrp("AS64500", "192.0.2.0/24", 24),
            vrp(64500, "2001:db8:53::/48", 48),
            vrp(64511, "198.51.100.0/24", 24)
        ]),
    );
    assert_eq!((status, &report["findings"]), (0, &json!([])));
    assert_eq!(report["warnings"], json!([]));
    assert_eq!(validities(&report), [("192.0.2.0/24", "valid"), ("2001:db8:53::/48", "valid")]);
    assert_eq!(
        report["rpki"][0]["covering"],
        json!([{ "prefix": "192.0.2.0/24", "max_length": 24, "asn": 64500 }])
    );
}

#[test]
fn an_invalid_prefix_is_a_finding_and_one_that_is_not_found_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let roas = json!([vrp(64511, "192.0.2.0/24", 24), vrp(64500, "192.0.0.0/16", 20)]);
    let (status, report) = report(folder.path(), &roas);
    assert_eq!(status, 1);
    assert_eq!(validities(&report), [("192.0.2.0/24", "invalid"), ("2001:db8:53::/48", "not-found")]);
    let findings = report["findings"].as_array().unwrap();
    assert_eq!(findings.len(), 1);
    assert_eq!(findings[0]["path"], "network.yaml");
    assert_eq!(findings[0]["position"], json!({ "line": 7, "column": 5 }));
    assert_eq!(
        findings[0]["message"],
        "192.0.2.0/24 from AS64500 is RPKI-invalid: 192.0.0.0/16-20 AS64500 ends at maxLength 20; \
         192.0.2.0/24-24 AS64511 is of another AS"
    );
    let warnings = report["warnings"].as_array().unwrap();
    assert_eq!(warnings.len(), 1);
    assert_eq!(warnings[0]["message"], "2001:db8:53::/48 is in no ROA: anybody can announce it");
    assert_eq!(warnings[0]["position"]["line"], 8);
}

#[test]
fn warnings_alone_are_shown_and_leave_the_exit_status() {
    let folder = tempfile::tempdir().unwrap();
    let text = json!({ "roas": [vrp(64500, "192.0.2.0/24", 28)] }).to_string();
    let (status, out, err) = check(&export(folder.path(), &text), &[]);
    assert_eq!((status, err.as_str()), (0, ""), "{out}");
    for expected in [
        "192.0.2.0/24-28 AS64500 permits more than is announced",
        "2001:db8:53::/48 is in no ROA",
        "RPKI: 192.0.2.0/24 from AS64500 is valid, covered by 192.0.2.0/24-28 AS64500\n",
        "RPKI: 2001:db8:53::/48 from AS64500 is not found\n",
        "no findings: ",
    ] {
        assert!(out.contains(expected), "{expected}:\n{out}");
    }
}

#[test]
fn a_file_that_is_no_export_is_refused_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = export(folder.path(), "{\n  \"roas\": [\n    {\"asn\": \"banana\"}\n  ]\n}\n");
    let (status, out, err) = check(&path, &[]);
    assert_eq!((status, out.as_str()), (2, ""));
    let place = format!("error: {}:3:20: ", path.display());
    assert!(err.starts_with(&place), "{err}");
    assert!(err.contains("\"banana\" is not an AS number, as 64496 or \"AS64496\""), "{err}");
    let (status, _, err) = check(&folder.path().join("nowhere.json"), &[]);
    assert_eq!(status, 2);
    assert!(err.contains("nowhere.json: No such file"), "{err}");
}
