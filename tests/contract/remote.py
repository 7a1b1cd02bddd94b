"""Where a store over HTTP is not like the others, and why: these tests are not for it."""

from __future__ import annotations

_GROUPS = "each call is atomic by itself: transaction() groups nothing over HTTP"
_FILES = "the server keeps output files in its own place, as far as they were shipped there"
_LEASE = "the server gives every host that registers over HTTP a lease"
_SLOW = "many calls one after the other: what they ask for is the engine's below, asked for there"
_ITS = "the server sees to what no job has any more"
_OWN = "the server tells of every commit, also of one's own: it cannot tell them apart"

#: names of tests
OTHERWISE = {
    "test_what_the_last_job_had_goes_after_some_days": _ITS,
    "test_what_is_taken_up_again_stays": _ITS,
    "test_what_was_deleted_is_stored_anew": _ITS,
    "test_a_use_that_was_undone_is_none": _ITS,
    "test_another_process_that_remembers_an_id_takes_it_up_again": _ITS,
    "test_no_id_is_given_out_twice": _ITS,
    "test_unused_rows_of_an_older_version_stay": _ITS,
    "test_remove_deletes_the_output": _FILES,
    "test_prune_deletes_history_and_output": _FILES,
    "test_output_is_kept_with_its_attempt": _FILES,
    "test_hooks_are_undone_with_the_settle_that_added_them": _GROUPS,
    "test_a_group_is_committed_together": _GROUPS,
    "test_what_raises_is_undone_whole": _GROUPS,
    "test_claims_that_were_undone_can_be_made_again": _GROUPS,
    "test_a_settle_that_was_undone_can_be_said_again": _GROUPS,
    "test_an_inner_group_can_fail_alone": _GROUPS,
    "test_groups_nest_to_any_depth": _GROUPS,
    "test_an_inner_claim_that_was_undone_leaves_the_order_right": _GROUPS,
    "test_a_remove_that_was_undone_leaves_the_output_file": _GROUPS,
    "test_it_is_undone_with_the_end": _GROUPS,
    "test_a_note_is_written_with_the_jobs_or_not_at_all": _GROUPS,
    "test_other_threads_read_only_what_has_been_committed": _GROUPS,
    "test_changed_does_not_tell_of_reading": _GROUPS,
    "test_hosts_are_listed_oldest_first_with_all_they_said": _LEASE,
    "test_a_host_may_write_its_row_again": _LEASE,
    "test_a_host_is_not_woken_by_its_own_commits": _OWN,
    "test_a_host_is_not_woken_for_nothing": _OWN,
    "test_several_hosts_are_woken_alike": _OWN,
    "test_changed_tells_that_something_was_written": _OWN,
    "test_every_engine_has_a_listener": _OWN,
    "test_a_host_is_woken_by_a_foreign_commit_of_work": _OWN,
    "test_many_pokes_are_one": _OWN,
    "test_jobs_can_be_changed_while_they_are_read": _SLOW,
    "test_a_thousand_queues_are_merged_in_order": _SLOW,
    "test_ten_thousand_names_are_taken_in_one_batch": _SLOW,
    "test_two_threads_never_exceed_a_limit": _SLOW,
    "test_two_threads_with_a_store_each_share_all_jobs": _SLOW,
    "test_order_holds_across_queues": _SLOW,
    "test_the_limit_of_an_array_is_never_exceeded": _SLOW,
    "test_a_limit_of_one_is_never_two": _SLOW,
    "test_a_claim_looks_past_a_thousand_due_jobs_of_queues_not_asked_for": _SLOW,
}
