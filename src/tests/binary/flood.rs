//! Calendars of more events than anybody looks at (reliability §4.3, Q2).

use std::process::Command;

use serde_json::Value;

use super::BINARY;

/// What a process may take at most, in MB.
const MEMORY: f64 = 256.0;

#[test]
fn a_calendar_of_a_hundred_thousand_events_takes_little_memory_and_one_with_too_many_to_come_none() {
    let arguments = "bench hostile --events 100000 --ahead 5000 --megabytes 0 --json";
    let done = Command::new(BINARY).args(arguments.split(' ')).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let figures: Value = serde_json::from_slice(&done.stdout).unwrap();
    let memory = |process: &str| figures[process]["peak_memory_mb"].as_f64().unwrap();
    let lines = |process: &str| figures[process]["planned_lines"].as_u64().unwrap();
    // A copy at home, and a block at the other client's.
    assert!(lines("process") > 10_000 && figures["process"]["too_many_events"] == false, "{figures}");
    assert!(lines("all_ahead") < 10 && figures["all_ahead"]["too_many_events"] == true, "not half a sync: {figures}");
    for process in ["process", "all_ahead"] {
        assert!((1.0..MEMORY).contains(&memory(process)), "{figures}");
    }
}
