//! Queues, claims, delegation: whose a task is.

use serde_json::json;

use super::*;

#[test]
fn rcv_10_a_queues_task_is_claimed_by_one_of_its_members() {
    let (mut desk, task) = Desk::started(json!([work("check", "clerks")]));
    let (mut anna, mut bert, mut carla) = (
        desk.person("anna"),
        desk.person("bert"),
        desk.person("carla"),
    );
    let mine = "SELECT via, step, participant, claimed_by FROM wf.my_worklist";
    anna.expect(mine, &["queue | check | clerks | null"]);
    bert.expect(mine, &["queue | check | clerks | null"]);
    carla.expect(mine, NONE);

    let claim = format!("SELECT participant, claimed_by FROM wf.claim_task({task})");
    carla
        .expect_error(&claim, "42501", &["not yours", "clerks"])
        .hints("");
    anna.expect(&claim, &["clerks | anna"]);
    // The same call again is no error and leaves no second row.
    anna.expect(&claim, &["clerks | anna"]);
    bert.expect_error(&claim, "55000", &["anna", "already"])
        .hints("");
    bert.expect(mine, NONE);
    anna.expect(mine, &["own | check | clerks | anna"]);
    bert.expect_error(
        &format!("SELECT * FROM wf.complete({task})"),
        "42501",
        &["anna"],
    );
    bert.expect_error(
        &format!("SELECT * FROM wf.release_task({task})"),
        "42501",
        &["anna"],
    );
    desk.expect(HANDED, &["task_claimed | clerks | anna | -"]);

    anna.exec(&format!("SELECT * FROM wf.release_task({task}, 'lunch')"));
    bert.expect(&claim, &["clerks | bert"]);
    bert.exec(&format!("SELECT * FROM wf.complete({task})"));
    desk.expect(
        HANDED,
        &[
            "task_claimed | clerks | anna | -",
            "task_released | anna | clerks | lunch",
            "task_claimed | clerks | bert | -",
        ],
    );
    anna.expect_error(&claim, "55000", &["no longer open"])
        .hints("");
    anna.expect_error("SELECT * FROM wf.claim_task(999999)", "P0002", &["999999"]);
}

#[test]
fn arw_03_delegating_lends_a_task_and_reassigning_gives_it_away() {
    let (mut desk, task) = Desk::started(json!([work("check", "anna")]));
    let (mut anna, mut carla, mut boss) = (
        desk.person("anna"),
        desk.person("carla"),
        desk.person("boss"),
    );
    let delegate = |to: &str| format!("SELECT * FROM wf.delegate_task({task}, '{to}', 'knows it')");
    carla.expect_error(&delegate("carla"), "42501", &["not yours", "anna"]);
    anna.expect_error(&delegate("nobody"), "42704", &["nobody"])
        .hints("wf.set_participant");
    anna.expect_error(&delegate("clerks"), "22023", &["queue"])
        .hints("wf.reassign_task");
    anna.exec(&delegate("carla"));
    let mine = "SELECT via, participant, claimed_by FROM wf.my_worklist";
    carla.expect(mine, &["own | anna | carla"]);
    anna.expect(mine, &["delegated | anna | carla"]);
    carla.exec(&format!("SELECT * FROM wf.release_task({task})"));
    anna.expect(mine, &["own | anna | null"]);

    let reassign = format!(
        "SELECT participant, claimed_by FROM wf.reassign_task({task}, 'clerks', 'holiday')"
    );
    anna.expect_error(&reassign, "42501", &["permission denied"]);
    boss.expect(&reassign, &["clerks | null"]);
    let mut bert = desk.person("bert");
    bert.expect(mine, &["queue | clerks | null"]);
    bert.exec(&format!("SELECT * FROM wf.complete({task})"));
    desk.expect(
        HANDED,
        &[
            "task_delegated | anna | carla | knows it",
            "task_released | carla | anna | -",
            "task_reassigned | anna | clerks | holiday",
        ],
    );
    desk.expect(
        "SELECT kind, participant FROM wf.alerts ORDER BY notification_id",
        &["delegated | carla", "reassigned | clerks"],
    );
}

#[test]
fn the_manager_of_a_participant_may_settle_and_release() {
    let (mut desk, task) = Desk::started(json!([work("check", "clerks")]));
    desk.person("anna")
        .exec(&format!("SELECT * FROM wf.claim_task({task})"));
    let mut boss = desk.person("boss");
    boss.exec(&format!("SELECT * FROM wf.release_task({task})"));
    boss.exec(&format!("SELECT * FROM wf.complete({task})"));
    desk.expect("SELECT state FROM probe.cases()", &["completed"]);
}

#[test]
fn an_application_claims_for_persons_without_a_role() {
    let (mut desk, task) = Desk::started(json!([work("check", "team")]));
    desk.exec(
        "SELECT wf.set_participant('team'), wf.set_participant('web_1', kind => 'person'), \
                wf.set_participant('web_2', kind => 'person')",
    );
    desk.exec("SELECT wf.set_members('team', '{web_1}')");
    let claim = |who: &str| format!("SELECT claimed_by FROM wf.claim_task({task}, '{who}')");
    desk.expect_error(&claim("web_2"), "42501", &["web_2", "team"])
        .hints("wf.set_members");
    desk.expect_error(&claim("team"), "22023", &["queue"]);
    desk.expect(&claim("web_1"), &["web_1"]);
    let mut carla = desk.person("carla");
    carla.expect_error(
        &format!("SELECT * FROM wf.claim_task({task}, 'anna')"),
        "42501",
        &["act for", "anna"],
    );
}

#[test]
fn as_26_a_task_has_a_second_executor_a_creator_and_links() {
    let (mut desk, task) = Desk::started(json!([{
        "name": "check", "kind": "task", "participant": "anna", "second": "carla",
        "due": {"anchor": "previous_done", "days": 1},
        "links": [{"label": "Invoice", "url": "https://erp/invoice/{key}?case={case}"}]
    }]));
    desk.expect(
        "SELECT participant, second, created_by, links->0->>'label', \
                links->0->>'url' = 'https://erp/invoice/1?case=' || case_id, overdue FROM wf.worklist",
        &["anna | carla | postgres | Invoice | t | f"],
    );
    desk.at("2026-03-04 10:00");
    desk.expect("SELECT step, overdue FROM wf.worklist", &["check | t"]);
    let mut bert = desk.person("bert");
    bert.expect_error(
        &format!("SELECT * FROM wf.complete({task})"),
        "42501",
        &["anna"],
    );
    let mut carla = desk.person("carla");
    carla.expect("SELECT via FROM wf.my_worklist", &["second"]);
    carla.exec(&format!("SELECT * FROM wf.complete({task})"));
}
