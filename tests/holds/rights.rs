//! Who may end which hold.

use super::two_notes;

#[test]
fn s9_a_moratorium_is_not_an_agents_to_end() {
    let (mut db, case) = two_notes();
    let (agent, manager) = (db.role("agent"), db.role("manager"));
    db.exec(&format!(
        "SELECT wf.grant_role('\"{agent}\"', 'agent'), wf.grant_role('\"{manager}\"', 'manager'); \
         SELECT wf.set_participant('clerk', '{agent}', kind => 'person'); SELECT wf.assign({case}, 'specialist', 'clerk')"
    ));
    let (mut agent, mut manager) = (db.connect_as(&agent), db.connect_as(&manager));
    let hold = |reason: &str, kind: &str| {
        format!("SELECT DISTINCT state FROM wf.hold({case}, '{reason}', kind => '{kind}')")
    };
    agent.expect(&hold("disputed", "dispute"), &["held"]);
    manager.expect(&hold("insolvency", "moratorium"), &["held"]);

    // The agent ends what is theirs to end; the moratorium stays.
    agent.expect(
        &format!("SELECT DISTINCT state FROM wf.release({case})"),
        &["held"],
    );
    db.expect(
        "SELECT kind FROM wf.holds WHERE released_at IS NULL",
        &["moratorium"],
    );
    let id: i64 = db.one("SELECT max(hold_id) FROM wf.holds");
    for sql in [
        format!("SELECT * FROM wf.release({case})"),
        format!("SELECT * FROM wf.release({case}, 'moratorium')"),
        format!("SELECT * FROM wf.release_hold({id})"),
    ] {
        agent
            .expect_error(&sql, "42501", &["insolvency", "not yours to end"])
            .hints("manager");
    }
    // A manager does not end it by the way, either.
    manager
        .expect_error(
            &format!("SELECT * FROM wf.release({case})"),
            "55000",
            &["stays on hold", "insolvency"],
        )
        .hints("'moratorium'");
    manager.expect(
        &format!("SELECT DISTINCT state FROM wf.release({case}, 'moratorium')"),
        &["running"],
    );
    agent.expect_error(
        "SELECT wf.set_hold_kind('moratorium')",
        "42501",
        &["permission denied"],
    );
    agent.expect_error("SELECT * FROM wf.release_hold(99999)", "P0002", &["99999"]);
    agent.expect_error("SELECT * FROM wf.hold(99999)", "P0002", &["99999"]);
}
