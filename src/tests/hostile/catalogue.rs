//! The catalogue of bad inputs, row by row: which test tries which. A row that is missing, and a test that is not there, fail.
//!
//! The rows are those of the reliability study: 95–103 command line, 104–116 environment, 117–124 from Google. Where the product's
//! contract decided otherwise than the study proposed, the note says so.

use std::{fs, path::Path};

/// Row, tests by file below `src` or scenario by name, and what the product decided otherwise.
type Row = (u16, &'static [(&'static str, &'static str)], &'static str);

/// A scenario of `testdata/scenarios`.
const SCENARIO: &str = "";

const ROWS: &[Row] = &[
    (
        95,
        &[("tests/cli.rs", "usage_is_told_on_the_right_stream_with_the_right_code")],
        "without arguments it serves: the product's contract says so",
    ),
    (
        96,
        &[
            ("tests/binary/main.rs", "a_second_service_on_the_same_database_is_refused_and_the_first_goes_on"),
            ("store/lock.rs", "only_one_holds_it_and_it_ends_with_its_holder"),
        ],
        "",
    ),
    (
        97,
        &[
            ("tests/upkeep.rs", "restoring_verifies_before_it_replaces_and_starts_paused"),
            ("tests/hostile/inputs.rs", "a_copy_of_a_newer_version_or_of_another_organization_is_not_restored"),
            (
                "tests/hostile/inputs.rs",
                "another_programs_database_and_a_log_without_its_database_are_left_as_they_are",
            ),
        ],
        "",
    ),
    (
        98,
        &[
            ("tests/hostile/inputs.rs", "a_copy_is_written_to_a_new_file_or_nothing_is"),
            ("tests/upkeep.rs", "a_copy_appears_whole_or_not_at_all_and_replaces_nothing"),
            ("tests/upkeep.rs", "a_nearly_full_disk_lets_nothing_be_begun"),
        ],
        "",
    ),
    (99, &[], "rotate-key"),
    (
        100,
        &[
            ("tests/cli.rs", "a_user_that_does_not_exist_is_told"),
            ("tests/cli.rs", "a_google_that_cannot_be_reached_is_told_and_changes_nothing"),
        ],
        "users are named by address",
    ),
    (
        101,
        &[
            ("tests/operator.rs", "everything_is_purged_without_a_database_from_tokens_and_keys_alone"),
            ("tests/operator.rs", "a_purge_with_a_database_leaves_the_user_paused_and_the_people_alone"),
        ],
        "the command is purge; --dry-run counts first, --tokens is refused beside a database, and there is no --yes",
    ),
    (
        102,
        &[
            ("tests/doctor.rs", "the_doctor_tells_each_trouble_with_its_remedy"),
            ("cli/settings.rs", "all_mistakes_are_told_at_once"),
            ("tests/hostile/inputs.rs", "every_wrong_variable_is_named_and_nothing_is_made"),
        ],
        "",
    ),
    (
        103,
        &[
            (
                "tests/binary/signals.rs",
                "a_service_survives_the_end_of_its_terminal_and_of_its_log_and_stops_when_asked",
            ),
            ("tests/binary/signals.rs", "asked_twice_to_stop_a_service_does_not_wait_for_google"),
            ("tests/service.rs", "asked_to_stop_the_service_ends_with_the_step_in_hand_and_goes_on_later"),
        ],
        "",
    ),
    (
        104,
        &[(
            "tests/hostile/inputs.rs",
            "a_place_where_no_database_can_be_is_named_with_its_variable_and_nothing_is_made",
        )],
        "unset and relative paths have the documented meaning",
    ),
    (
        105,
        &[
            ("tests/upkeep.rs", "what_cannot_be_opened_is_told_by_its_exit_code_and_left_as_it_is"),
            ("tests/cli.rs", "wrong_settings_are_named_and_nothing_is_made"),
        ],
        "",
    ),
    (106, &[("tests/cli.rs", "keys_of_the_wrong_size_or_of_another_database_are_refused")], ""),
    (107, &[("tests/hostile/inputs.rs", "every_wrong_variable_is_named_and_nothing_is_made")], ""),
    (108, &[("tests/hostile/inputs.rs", "every_wrong_variable_is_named_and_nothing_is_made")], "there are five levels"),
    (109, &[("tests/hostile/inputs.rs", "every_wrong_variable_is_named_and_nothing_is_made")], ""),
    (110, &[("tests/hostile/inputs.rs", "every_wrong_variable_is_named_and_nothing_is_made")], "everybody is refused"),
    (111, &[("tests/hostile/inputs.rs", "a_port_that_is_taken_or_not_ours_is_told")], ""),
    (
        112,
        &[
            ("tests/upkeep.rs", "what_cannot_be_opened_is_told_by_its_exit_code_and_left_as_it_is"),
            (
                "tests/hostile/inputs.rs",
                "another_programs_database_and_a_log_without_its_database_are_left_as_they_are",
            ),
        ],
        "a file that may not be written is not tried: tests may run as root, whom nothing forbids",
    ),
    (
        113,
        &[
            ("controller/upkeep.rs", "a_clock_that_jumped_makes_nothing_forgotten"),
            ("tests/doctor.rs", "the_doctor_tells_each_trouble_with_its_remedy"),
        ],
        "nothing is paused: no plan deletes by the clock, and what forgets by it asks Google what time it is",
    ),
    (
        114,
        &[
            ("tests/upkeep.rs", "a_nearly_full_disk_lets_nothing_be_begun"),
            ("tests/upkeep.rs", "a_full_disk_stops_writes_to_google_and_nothing_else"),
            ("tests/upkeep.rs", "a_disk_that_is_full_at_any_statement_costs_nothing"),
        ],
        "",
    ),
    (115, &[("tests/hostile/inputs.rs", "every_wrong_variable_is_named_and_nothing_is_made")], ""),
    (
        116,
        &[("tests/hostile/inputs.rs", "every_wrong_variable_is_named_and_nothing_is_made")],
        "no flag: both addresses on this machine, or both Google's",
    ),
    (
        117,
        &[
            ("tests/hostile/events.rs", "an_event_is_read_the_same_for_ever_or_costs_itself"),
            ("tests/client.rs", "pages_are_asked_for_with_the_same_parameters_until_the_last"),
        ],
        "",
    ),
    (
        118,
        &[("tests/client.rs", "pages_are_asked_for_with_the_same_parameters_until_the_last")],
        "an item does not say of which calendar it is",
    ),
    (
        119,
        &[
            ("tests/client.rs", "a_listing_that_does_not_come_to_its_end_is_an_error"),
            ("tests/client.rs", "a_listing_of_ever_new_pages_is_given_up"),
            ("tests/mail.rs", "a_refused_calendar_and_five_failures_are_alerts_of_their_own"),
        ],
        "the fifth failure in a row is told",
    ),
    (
        120,
        &[
            ("tests/client.rs", "a_page_of_another_form_is_no_listing"),
            ("tests/client.rs", "what_passes_is_tried_three_times_and_no_more"),
            (SCENARIO, "an-empty-listing-deletes-nothing"),
        ],
        "",
    ),
    (
        121,
        &[
            ("tests/hostile/events.rs", "rules_are_passed_through_and_never_expanded"),
            ("tests/hostile/events.rs", "dates_beyond_all_calendars_cost_their_event_and_nobody_elses_peace"),
            ("tests/hostile/events.rs", "whatever_can_be_read_is_planned_once_and_comes_to_rest"),
            ("cli/bench/hostile.rs", "bombs_floods_and_megabytes_are_planned_once_and_come_to_rest"),
            (SCENARIO, "meetings-with-strange-texts-are-copied-as-they-are"),
            (SCENARIO, "rules-and-dates-pass-through-unread"),
        ],
        "",
    ),
    (
        122,
        &[
            (
                "tests/hostile/secrets.rs",
                "a_marker_opens_on_the_event_and_calendar_that_it_was_made_for_and_nowhere_else",
            ),
            (SCENARIO, "a-hand-made-duplicate-of-ours-is-the-persons"),
            (SCENARIO, "a-block-whose-marker-was-stripped-is-known-and-marked-again"),
            (SCENARIO, "a-second-installation-for-the-same-person-amplifies-nothing"),
            (SCENARIO, "an-event-marked-by-a-program-of-our-kind-is-left-alone"),
        ],
        "",
    ),
    (
        123,
        &[
            ("tests/hostile/events.rs", "an_event_is_read_the_same_for_ever_or_costs_itself"),
            (SCENARIO, "a-description-edited-in-googles-editor-is-told-from-our-lines"),
            (SCENARIO, "our-own-writes-come-back-and-mean-nothing"),
        ],
        "",
    ),
    (
        124,
        &[
            ("google/error.rs", "waiting_is_bounded_whatever_google_asks"),
            (
                "tests/hostile/outside.rs",
                "google_is_waited_for_between_a_second_and_a_quarter_of_an_hour_whatever_it_asks",
            ),
        ],
        "a date is passed over, and the usual wait taken",
    ),
];

/// Whether a file holds a test of this name.
fn is_there(file: &str, test: &str) -> bool {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    if file == SCENARIO {
        return root.join("testdata/scenarios").join(format!("{test}.txt")).is_file();
    }
    let text = fs::read_to_string(root.join("src").join(file)).unwrap_or_default();
    let at = text.find(&format!("fn {test}()"));
    at.is_some_and(|at| {
        text[..at].lines().rev().take(3).any(|line| line.contains("test]") || line.contains("tokio::test("))
    })
}

#[test]
fn every_row_of_the_catalogue_is_tried() {
    let rows: Vec<u16> = ROWS.iter().map(|(row, ..)| *row).collect();
    assert_eq!(rows, (95..=124).collect::<Vec<u16>>());
    for (row, tests, _) in ROWS {
        for (file, test) in *tests {
            assert!(is_there(file, test), "row {row}: there is no test {test} in {file}");
        }
    }
    assert!(!is_there("tests/cli.rs", "nobody_wrote_this"));
}

#[tokio::test]
async fn a_row_without_tests_is_of_a_command_that_is_not_there_or_tries_it_elsewhere() {
    for (row, tests, command) in ROWS.iter().filter(|(_, tests, _)| tests.is_empty()) {
        assert!(tests.is_empty() && *row == 99, "row {row} is not tried");
        let ran = crate::tests::cli::run(&[*command, "--help"], &[]).await;
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/tests");
        let tried = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
        let tried = tried
            .filter(|path| !path.ends_with("hostile"))
            .any(|path| fs::read_to_string(path).unwrap().contains(*command));
        assert!(ran.code == 2 || tried, "row {row}: there is {command}, and no test tries it");
    }
}
