//! The security checklist (reliability §4.3): which tests try each of its rows. Those of [`super::schema`] look at every answer that
//! any test of the API gets.

use std::collections::BTreeSet;

use super::inputs;

/// Each row, and the tests that try it.
const ROWS: &[(&str, &[&str])] = &[
    ("A1", &["before_the_set_up_only_the_set_up_is_open", "guessing_the_setup_token_is_slow"]),
    (
        "A2",
        &["the_wizard_refuses_what_makes_no_sense_and_goes_on_where_it_was", "two_who_finish_at_once_make_one_admin"],
    ),
    (
        "A3",
        &[
            "the_wizard_refuses_what_makes_no_sense_and_goes_on_where_it_was",
            "every_bad_input_is_refused_and_changes_nothing",
        ],
    ),
    ("A4", &["the_wizard_refuses_what_makes_no_sense_and_goes_on_where_it_was"]),
    ("A5", &["a_way_to_google_is_good_once_in_one_browser_for_one_purpose"]),
    (
        "A6",
        &[
            "every_way_to_google_is_proven_new_and_asks_for_the_least",
            "an_identity_of_another_sign_in_or_another_time_is_refused",
        ],
    ),
    ("A7", &["no_forged_identity_gets_in"]),
    ("A8", &["no_forged_identity_gets_in"]),
    ("A9", &["no_forged_identity_gets_in", "no_forged_identity_sets_up", "only_accounts_of_the_organization_get_in"]),
    (
        "A10",
        &[
            "every_way_to_google_is_proven_new_and_asks_for_the_least",
            "a_way_to_google_is_good_once_in_one_browser_for_one_purpose",
        ],
    ),
    ("A11", &["after_signing_in_one_is_on_our_own_pages"]),
    ("A12", &["every_way_to_google_is_proven_new_and_asks_for_the_least", "an_exchange_that_breaks_leaves_nothing"]),
    ("A13", &["after_signing_in_one_is_on_our_own_pages"]),
    // Each browser of these tests checks the flags of every cookie that it is given.
    ("B1", &["before_the_set_up_only_the_set_up_is_open"]),
    ("B2", &["every_answer_carries_what_protects_it", "names_are_text_wherever_they_are_shown"]),
    ("B3", &["nothing_is_changed_from_elsewhere"]),
    ("B4", &["every_answer_carries_what_protects_it"]),
    ("B5", &["every_answer_carries_what_protects_it"]),
    ("B6", &["names_are_text_wherever_they_are_shown"]),
    ("C1", &["sessions_cannot_be_made_up_and_end_when_they_should", "every_bad_input_is_refused_and_changes_nothing"]),
    ("C2", &["sessions_cannot_be_made_up_and_end_when_they_should"]),
    ("C3", &["a_session_ends_with_what_it_stood_for"]),
    ("C4", &["sessions_cannot_be_made_up_and_end_when_they_should", "a_session_ends_with_what_it_stood_for"]),
    ("C5", &["what_cannot_be_taken_back_needs_a_young_sign_in"]),
    ("D1", &["the_cipher_is_that_of_rfc_8452", "the_same_bytes_sealed_twice_look_different"]),
    ("D2", &["a_token_given_to_another_user_does_not_open", "what_was_sealed_elsewhere_is_not_believed"]),
    ("D3", &["each_broken_key_file_has_its_own_sentence", "keys_of_the_wrong_size_or_of_another_database_are_refused"]),
    (
        "D4",
        &[
            "killed_at_any_moment_a_change_of_the_key_leaves_what_starts",
            "a_rotation_touches_two_rows_and_nothing_at_google",
            "a_new_encryption_key_changes_no_marker",
        ],
    ),
    ("D5", &["copies_of_the_database_are_few"]),
    ("D6", &["restoring_verifies_before_it_replaces_and_starts_paused"]),
    ("D7", &["a_new_database_is_its_owners_alone_and_opens_again"]),
    ("D8", &["no_secret_and_no_word_of_an_event_lies_on_the_disk_in_the_open"]),
    ("E1", &["nobody_reaches_what_is_not_theirs"]),
    (
        "E2",
        &[
            "every_answer_is_described_and_no_field_of_any_is_secret",
            "an_admins_program_sees_no_titles_and_changes_settings",
            "a_program_connects_looks_and_takes_back",
        ],
    ),
    ("E3", &["every_bad_input_is_refused_and_changes_nothing"]),
    ("E4", &["every_bad_input_is_refused_and_changes_nothing"]),
    ("E5", &["every_bad_input_is_refused_and_changes_nothing"]),
    ("W1", &["whatever_is_wrong_with_a_notification_the_answer_is_the_same_and_nothing_happens"]),
    ("W2", &["a_flood_of_notifications_leads_to_a_few_ticks"]),
    ("W3", &["five_hundred_calendars_ring_from_one_address"]),
    ("W4", &["a_flood_leaves_one_mark_and_another_ring_after_it_was_taken_leaves_another"]),
    ("W5", &["every_bad_input_is_refused_and_changes_nothing"]),
    ("N1", &["guessing_the_setup_token_is_slow"]),
    ("N2", &["guessing_the_setup_token_is_slow", "however_many_addresses_ask_few_are_kept"]),
    ("N3", &["who_is_slow_keeps_nobody_waiting", "every_bad_input_is_refused_and_changes_nothing"]),
    ("N4", &["an_exchange_that_breaks_leaves_nothing"]),
    ("N5", &["wrong_settings_are_named_and_nothing_is_made"]),
    ("N6", &["a_mail_server_that_is_none_is_told_by_its_class", "a_password_never_goes_over_an_unencrypted_wire"]),
    ("I1", &["every_bad_input_is_refused_and_changes_nothing"]),
    ("I2", &["every_bad_input_is_refused_and_changes_nothing"]),
    ("I3", &["after_signing_in_one_is_on_our_own_pages", "what_google_says_is_never_repeated"]),
    ("I4", &["at_debug_level_no_log_figure_or_answer_tells_a_title_an_address_or_a_token"]),
    ("I5", &["names_are_text_wherever_they_are_shown"]),
    ("Q1", &["what_no_person_would_write_keeps_nobody_waiting"]),
    (
        "Q2",
        &[
            "a_large_first_sync_does_not_keep_others_waiting",
            "a_calendar_of_a_hundred_thousand_events_takes_little_memory_and_one_with_too_many_to_come_none",
        ],
    ),
    ("Q3", &["what_no_person_would_write_keeps_nobody_waiting"]),
    ("Q4", &["what_no_person_would_write_keeps_nobody_waiting"]),
    ("Q5", &["what_no_person_would_write_keeps_nobody_waiting"]),
    ("Q6", &["who_is_invited_all_the_time_is_looked_at_every_ten_seconds"]),
    ("Q7", &["a_storm_is_bounded_and_never_drives_out_what_only_a_person_can_mend"]),
    ("Q8", &["an_idle_service_reads_by_the_timetable_and_writes_nothing"]),
    ("Q9", &["an_account_with_a_thousand_calendars_offers_them"]),
];

#[test]
fn every_row_of_the_checklist_has_its_test() {
    let rows: BTreeSet<&str> = ROWS.iter().map(|(row, _)| *row).collect();
    for (section, last) in [("A", 13), ("B", 6), ("C", 5), ("D", 8), ("E", 5), ("W", 5), ("N", 6), ("I", 5), ("Q", 9)] {
        for number in 1..=last {
            let row = format!("{section}{number}");
            assert!(rows.contains(row.as_str()), "{row} is not tried");
        }
    }
    for (row, names) in ROWS {
        assert!(!names.is_empty());
        for name in *names {
            assert!(inputs::is_a_test(name), "{row}: there is no test {name}");
        }
    }
}
