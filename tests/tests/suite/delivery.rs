//! How clients that others wrote are told that a call waits, by what they can: they show a page, they follow a task, they are
//! held. None of them takes it for a success, and none of it lets anything through.

use callgate_tests::drive::{Client, Plan};
use callgate_tests::gateway::Gateway;
use callgate_tests::install;
use callgate_tests::wire::{Ask, Heard};
use serde_json::{Value, json};

use super::approvals::{decide, waiting, world, world_with};
use super::clients::{MODERN, decision};
use super::world::{ALICE, read};

fn plan(gateway: &Gateway, protocol: &str) -> Plan {
    Plan::new(&gateway.url("atlassian")).token(ALICE).protocol(protocol)
}

async fn once_it_waits(gateway: &Gateway, how: &str) {
    while waiting(gateway).await.is_empty() {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    decide(gateway, how).await;
}

async fn first_step(client: &Client, plan: Plan) -> Value {
    let told = client.run(&plan).await.unwrap();
    assert!(told.connect["error"].is_null(), "{}", told.connect);
    told.steps[0].clone()
}

/// The client shows the page; somebody approves while it waits, and its one call is answered with what the site said. Who
/// declines to show it is told at once.
async fn shows_the_page(client: Client, protocol: &str) {
    let (sim, gateway) = world("").await;
    let deletes = |action: &str| {
        plan(&gateway, protocol).pages(action).call("deleteJiraIssue", read("ENG-45"))
    };
    let (step, ()) =
        tokio::join!(first_step(&client, deletes("accept")), once_it_waits(&gateway, "approve"));
    assert_eq!(step["isError"], false, "{step}");
    let [page] = step["shown"].as_array().unwrap().as_slice() else { panic!("{step}") };
    let pages = format!("http://{}/console/approvals/", gateway.address);
    assert!(page.as_str().unwrap().starts_with(&pages), "{page}");
    let step = first_step(&client, deletes("decline")).await;
    assert_eq!(decision(&step), ("approval_required", "approval_required"), "{step}");
    let waits = waiting(&gateway).await;
    let page = format!("{pages}{}", waits[0]["id"].as_str().unwrap());
    assert_eq!((&step["shown"], sim.ledger().count("deleteJiraIssue")), (&json!([page]), 1));
}

#[tokio::test]
async fn the_typescript_clients_show_the_page() {
    let node = install::node(&install::default_directory()).unwrap();
    tokio::join!(
        shows_the_page(Client::node(&node), MODERN),
        shows_the_page(Client::node(&node), "legacy"),
        shows_the_page(Client::node1(&node), "legacy"),
    );
}

#[tokio::test]
async fn the_python_clients_show_the_page() {
    let directory = install::default_directory();
    let python = install::python(&directory).unwrap();
    let python2 = install::python2(&directory).unwrap();
    tokio::join!(
        shows_the_page(Client::python(&python), "legacy"),
        shows_the_page(Client::python2(&python2), MODERN),
        shows_the_page(Client::fastmcp(&python2), MODERN),
    );
}

/// Held with signs of life until nobody has decided, or somebody has.
async fn is_held(client: Client, protocol: &str) {
    let hold = "[approvals]\nhold_s = 20\n";
    let call = |gateway: &Gateway| {
        plan(gateway, protocol).call_with_progress("deleteJiraIssue", read("ENG-45"))
    };
    let (sim, gateway) = world_with("@decide_within(\"3s\")", hold).await;
    let step = first_step(&client, call(&gateway)).await;
    assert_eq!(decision(&step), ("deny", "approval_expired"), "{step}");
    assert!(!step["progress"].as_array().unwrap().is_empty(), "{step}");
    assert_eq!(sim.ledger().count("deleteJiraIssue"), 0);
    let (sim, gateway) = world_with("", hold).await;
    let (step, ()) =
        tokio::join!(first_step(&client, call(&gateway)), once_it_waits(&gateway, "approve"));
    let made = sim.ledger().count("deleteJiraIssue");
    assert_eq!((&step["isError"], made), (&json!(false), 1), "{step}");
}

/// Nobody decides, and the client is sent back and forth: in the end it is told.
async fn is_sent_back(client: Client) {
    let (sim, gateway) = world_with("", "[approvals]\nhold_s = 1\n").await;
    let step =
        first_step(&client, plan(&gateway, MODERN).call("deleteJiraIssue", read("ENG-45"))).await;
    assert_eq!(decision(&step), ("approval_required", "approval_required"), "{step}");
    assert_eq!((waiting(&gateway).await.len(), sim.ledger().count("deleteJiraIssue")), (1, 0));
}

#[tokio::test]
async fn a02_every_client_is_held_with_signs_of_life_and_hears_that_nobody_decided() {
    let directory = install::default_directory();
    let node = install::node(&directory).unwrap();
    let python = install::python(&directory).unwrap();
    let python2 = install::python2(&directory).unwrap();
    let rmcp = install::rmcp().unwrap();
    tokio::join!(
        is_held(Client::node(&node), MODERN),
        is_held(Client::node1(&node), "legacy"),
        is_held(Client::python(&python), "legacy"),
        is_held(Client::python2(&python2), MODERN),
        is_held(Client::fastmcp(&python2), MODERN),
        is_held(Client::rmcp(&rmcp), MODERN),
        is_held(Client::rmcp(&rmcp), "legacy"),
    );
}

#[tokio::test]
async fn a_client_of_the_modern_era_is_sent_back_and_is_told_in_the_end() {
    let directory = install::default_directory();
    let node = install::node(&directory).unwrap();
    let python2 = install::python2(&directory).unwrap();
    let rmcp = install::rmcp().unwrap();
    tokio::join!(
        is_sent_back(Client::node(&node)),
        is_sent_back(Client::python2(&python2)),
        is_sent_back(Client::fastmcp(&python2)),
        is_sent_back(Client::rmcp(&rmcp)),
    );
}

#[tokio::test]
async fn the_rust_client_follows_a_task() {
    let (sim, gateway) = world("").await;
    let client = Client::rmcp(&install::rmcp().unwrap());
    let follows = || {
        let plan = plan(&gateway, MODERN).tasks().call("deleteJiraIssue", read("ENG-45"));
        plan.task_get().task_until("completed").task_get()
    };
    let (told, ()) = tokio::join!(
        async { client.run(&follows()).await.unwrap() },
        once_it_waits(&gateway, "approve")
    );
    let [created, waits, made, again] = told.steps.as_slice() else { panic!("{told:?}") };
    assert_eq!(
        (&created["task"]["status"], &waits["status"]),
        (&json!("working"), &json!("working"))
    );
    assert_eq!(made["result"]["isError"], false, "{made}");
    assert_eq!(again["result"], made["result"], "it can be asked for again");
    assert_eq!(sim.ledger().count("deleteJiraIssue"), 1);

    let (told, ()) = tokio::join!(
        async { client.run(&follows()).await.unwrap() },
        once_it_waits(&gateway, "deny")
    );
    assert_eq!(decision(&told.steps[2]["result"]), ("deny", "approval_denied"), "{told:?}");
    let cancels = plan(&gateway, MODERN).tasks().call("deleteJiraIssue", read("ENG-46"));
    let told = client.run(&cancels.task_cancel().task_until("cancelled")).await.unwrap();
    assert_eq!(told.steps[2]["status"], "cancelled", "{told:?}");
    assert!(waiting(&gateway).await.is_empty());
    assert_eq!(sim.ledger().count("deleteJiraIssue"), 1);
}

/// With a key of the operator's a task is as durable as its approval.
#[tokio::test]
async fn a_task_that_waits_outlives_the_gateway() {
    let key = "[sealing]\nkeys = [{ file = \"sealing.key\" }]\n";
    let (sim, mut gateway) = world_with("", key).await;
    let declaring = |ask: Ask| {
        ask.edit(
            r#"clientCapabilities":{}"#,
            r#"clientCapabilities":{"extensions":{"io.modelcontextprotocol/tasks":{}}}"#,
        )
    };
    let ask = declaring(Ask::call("atlassian", ALICE, "deleteJiraIssue", read("ENG-45")));
    let created = ask.send(gateway.address).await.unwrap().message();
    let task =
        created["result"]["taskId"].as_str().unwrap_or_else(|| panic!("{created}")).to_owned();
    let get = async |gateway: &Gateway| -> Heard {
        let get = Ask::modern("atlassian", ALICE, "tasks/get", json!({ "taskId": task }));
        declaring(get).also("mcp-name", &task).send(gateway.address).await.unwrap()
    };
    gateway.kill_9().await.unwrap();
    gateway.restart().await.unwrap();
    assert_eq!(get(&gateway).await.message()["result"]["status"], "working");
    decide(&gateway, "approve").await;
    gateway.kill_9().await.unwrap();
    gateway.restart().await.unwrap();
    let made = get(&gateway).await.message();
    assert_eq!(made["result"]["status"], "completed", "{made}");
    assert_eq!(made["result"]["result"]["content"][0]["text"], r#"{"deleted":"ENG-45"}"#, "{made}");
    // Then it has no result of it any more: it says that it was made, and makes nothing.
    gateway.kill_9().await.unwrap();
    gateway.restart().await.unwrap();
    let again = get(&gateway).await.message();
    let told = &again["result"]["result"]["_meta"]["dev.callgate/decision"];
    assert_eq!((&told["decision"], &told["outcome"]), (&json!("allow"), &json!("succeeded")));
    assert_eq!(sim.ledger().count("deleteJiraIssue"), 1);
}
