//! What providers can do wrong, and what is made of it. Nothing leaves this machine.
#![cfg(feature = "llm")]

use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, Instant};
use wbc_caption::llm::{
    AnswerCache, AskLimits, Budget, GenaiModel, ModelCaptioner, ProviderConfig, RunOptions, Written, dry_run,
    model_captioners, write_templates,
};
use wbc_caption::{
    CaptionersConfig, DescriptionKey, Entry, FaultKind, Grammar, Method, Prompt, Register, Sampling, Verifier,
    WritingOutcome,
};
use wbc_core::{Annotation, AttributeSchema, CancelToken, CellDescription, CellType, CellTypes, NoProgress};
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

const KEY: &str = "sk-0123456789-secret";

fn cells() -> Vec<Annotation> {
    let schema = AttributeSchema::wbcatt();
    ["red", "pink", "purple"]
        .map(|colour| {
            let mut cell = Annotation::unknown(&schema);
            cell.cell_type = Some(CellType::new("eosinophil"));
            cell.set(&schema, "nucleus_shape", "segmented-bilobed").unwrap();
            cell.set(&schema, "granule_colour", colour).unwrap();
            cell
        })
        .into()
}

fn member(endpoint: &str, timeout: Duration) -> ModelCaptioner {
    let config = ProviderConfig {
        model: "model".into(),
        provider: Some("openai".into()),
        endpoint: Some(endpoint.into()),
        key: Some(KEY.to_owned().into()),
        timeout,
    };
    ModelCaptioner {
        id: "model".into(),
        provider: endpoint.into(),
        weight: 1.0,
        model: Arc::new(GenaiModel::new(config).unwrap()),
        prompt: Prompt::sentence(),
        method: Method::Sentence,
        registers: vec![Register::Sentence],
        sampling: Sampling { temperature: Some(0.5), top_p: None, max_tokens: 60, seed: 0 },
        json: false,
        max_facts: 5,
        wordings: 3,
        measurements: false,
        limits: AskLimits {
            concurrency: 2,
            retries: 2,
            first_pause: Duration::from_millis(10),
            breaker: 4,
            ..AskLimits::default()
        },
        prompt_price: 1.0,
        answer_price: 2.0,
        grammar: Grammar::wbcatt(),
    }
}

struct Run {
    written: Written,
    n_units: usize,
}

async fn run(member: ModelCaptioner, cache: Option<Arc<AnswerCache>>, budget: Budget) -> Run {
    run_all(&[member], cache, budget).await
}

async fn run_all(members: &[ModelCaptioner], cache: Option<Arc<AnswerCache>>, budget: Budget) -> Run {
    let schema = AttributeSchema::wbcatt();
    let verifier = Verifier::new(&schema, &CellTypes::builtin());
    let cells = cells();
    let described: Vec<_> = cells
        .iter()
        .map(|annotation| {
            let cell = CellDescription { annotation, measured: None };
            (DescriptionKey::new(&cell, false), cell)
        })
        .collect();
    let options = RunOptions {
        schema: &schema,
        verifier: &verifier,
        own_types: &[],
        cache,
        budget: Arc::new(budget),
        templates: 2,
        per_cell: false,
        seed: 1,
        progress: &NoProgress,
        cancel: CancelToken::default(),
    };
    let n_units = dry_run(members, &described, &options).unwrap().iter().map(|p| p.n_requests).sum();
    Run { written: write_templates(members, &described, &options).await.unwrap(), n_units }
}

impl Run {
    fn accepted(&self) -> usize {
        let accepted =
            |e: &&(usize, DescriptionKey, Entry)| e.2.writing().is_some_and(|w| w.outcome == WritingOutcome::Accepted);
        self.written.entries.iter().filter(accepted).count()
    }

    fn reasons(&self) -> String {
        self.written.summaries[0].unanswered.keys().cloned().collect::<Vec<_>>().join(" | ")
    }

    fn all_answered(&self) {
        assert_eq!((self.accepted(), self.reasons().as_str()), (6, ""), "{:?}", self.written.summaries);
    }

    fn none_answered(&self, reason: &str) {
        assert_eq!(self.written.summaries[0].n_unanswered, 6);
        assert!(self.reasons().contains(reason), "{}", self.reasons());
        assert!(!self.reasons().contains(KEY));
    }
}

fn answer(content: &str) -> Value {
    json!({
        "id": "1", "object": "chat.completion", "created": 1, "model": "model",
        "choices": [{ "index": 0, "message": { "role": "assistant", "content": content }, "finish_reason": "stop" }],
        "usage": { "prompt_tokens": 40, "completion_tokens": 10, "total_tokens": 50 },
    })
}

/// Gives back what was to be reworded: always right.
struct Echo;

impl Respond for Echo {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        let last = body["messages"].as_array().unwrap().last().unwrap()["content"].as_str().unwrap().to_owned();
        let given = last.rsplit_once(": ").map_or(last.clone(), |(_, given)| given.to_owned());
        ResponseTemplate::new(200).set_body_json(answer(&given))
    }
}

/// A server that fails in one way a number of times, then is right.
async fn failing(response: ResponseTemplate, times: u64) -> MockServer {
    let server = MockServer::start().await;
    let post = || Mock::given(method("POST")).and(path("/v1/chat/completions"));
    if times > 0 {
        post().respond_with(response).up_to_n_times(times).with_priority(1).mount(&server).await;
    }
    post().respond_with(Echo).with_priority(2).mount(&server).await;
    server
}

async fn against(response: ResponseTemplate, times: u64) -> (Run, usize) {
    let server = failing(response, times).await;
    let member = member(&format!("{}/v1/", server.uri()), Duration::from_secs(5));
    let run = run(member, None, Budget::default()).await;
    let n = server.received_requests().await.unwrap().len();
    (run, n)
}

#[tokio::test]
async fn busy_providers_are_asked_again_when_they_want() {
    let begun = Instant::now();
    let (run, n) = against(ResponseTemplate::new(429).insert_header("retry-after", "1"), 1).await;
    run.all_answered();
    assert_eq!(n, run.n_units + 1);
    assert!(begun.elapsed() >= Duration::from_millis(950), "{:?}", begun.elapsed());
    let (run, n) = against(ResponseTemplate::new(429), 2).await;
    run.all_answered();
    assert_eq!(n, run.n_units + 2);
}

#[tokio::test]
async fn dates_count_by_the_providers_clock() {
    let skewed = ResponseTemplate::new(429)
        .insert_header("date", "Fri, 31 Dec 1999 23:59:58 GMT")
        .insert_header("retry-after", "Fri, 31 Dec 1999 23:59:59 GMT");
    let begun = Instant::now();
    let (run, _) = against(skewed, 1).await;
    run.all_answered();
    assert!((0.95..60.0).contains(&begun.elapsed().as_secs_f64()), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn failures_that_pass_are_passed_over_and_lasting_ones_end_the_model() {
    let (run, n) = against(ResponseTemplate::new(503).set_body_string("overloaded"), 2).await;
    run.all_answered();
    assert_eq!(n, run.n_units + 2);
    let (run, n) = against(ResponseTemplate::new(500).set_body_string("broken"), 1000).await;
    run.none_answered("failures in a row");
    assert!(n <= 4 * 3 + 3, "{n} requests to a broken server");
}

#[tokio::test]
async fn answers_that_are_none_are_told() {
    let half = ResponseTemplate::new(200).set_body_raw("{\"choices\": [{\"message\"", "application/json");
    against(half, 1000).await.0.none_answered("unreadable answer");
    let wrong = ResponseTemplate::new(200).set_body_json(json!({ "text": "a cell" }));
    against(wrong, 1000).await.0.none_answered("unreadable answer");
    let gateway = ResponseTemplate::new(200).set_body_json(json!({ "error": { "message": "upstream is gone" } }));
    against(gateway, 1000).await.0.none_answered("unreadable answer");
}

#[tokio::test]
async fn an_answer_too_large_is_a_cut_off_one_that_is_paid_for_once() {
    let folder = tempfile::tempdir().unwrap();
    let huge = ResponseTemplate::new(200).set_body_json(answer(&"granules ".repeat(1_200_000)));
    let server = failing(huge, 1).await;
    for _ in 0..2 {
        let cache = Some(Arc::new(AnswerCache::open(&folder.path().join("answers.redb")).unwrap()));
        let run = run(member(&format!("{}/v1/", server.uri()), Duration::from_secs(5)), cache, Budget::default()).await;
        run.all_answered();
        assert_eq!(server.received_requests().await.unwrap().len(), run.n_units + 1);
        let writings = run.written.entries.iter().filter_map(|e| e.2.writing()).flat_map(|w| &w.attempts);
        let large: Vec<_> = writings.filter(|a| a.raw.starts_with("granules granules")).collect();
        assert!(large.iter().all(|a| a.raw.len() < 5000 && a.faults.iter().any(|f| f.kind == FaultKind::CutOff)));
        assert!(!large.is_empty());
    }
}

#[tokio::test]
async fn empty_and_wrong_answers_are_refused_after_three_tries() {
    for text in ["", "The cell is infected.", "I am a language model."] {
        let (run, n) = against(ResponseTemplate::new(200).set_body_json(answer(text)), 1000).await;
        assert_eq!((run.written.summaries[0].n_replaced, n), (6, run.n_units * 3), "{text}");
        let (_, _, entry) = &run.written.entries[0];
        let Entry::Refused { writing, .. } = entry else { panic!("{entry:?}") };
        assert!(writing.attempts.iter().all(|a| a.raw == text && !a.faults.is_empty()));
    }
}

#[tokio::test]
async fn refusals_name_the_cause_and_never_the_key() {
    let unknown = json!({ "error": { "message": "The model `model` does not exist", "code": "model_not_found" } });
    let (run, n) = against(ResponseTemplate::new(404).set_body_json(unknown), 1000).await;
    run.none_answered("does not exist");
    assert!(n <= 2, "{n} requests for an unknown model");
    let wrong = json!({ "error": { "message": format!("Incorrect API key provided: {KEY}") } });
    let (run, n) = against(ResponseTemplate::new(401).set_body_json(wrong), 1000).await;
    run.none_answered("Incorrect API key provided: ***");
    assert!(n <= 2, "{n} requests with a wrong key");
}

#[tokio::test]
async fn a_conversation_too_long_stops_itself_only() {
    let long = json!({ "error": { "message": "the request exceeds the available context size" } });
    let (run, n) = against(ResponseTemplate::new(400).set_body_json(long), 1).await;
    assert_eq!(n, run.n_units);
    assert!(run.reasons().contains("conversation too long"), "{}", run.reasons());
    assert!(run.accepted() > 0);
}

/// A faulty answer first, then a conversation that is too long.
struct FaultyThenLong;

impl Respond for FaultyThenLong {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        let last = body["messages"].as_array().unwrap().last().unwrap()["content"].as_str().unwrap().to_owned();
        if last.contains("That was wrong") {
            let long = json!({ "error": { "message": "the request exceeds the available context size" } });
            return ResponseTemplate::new(400).set_body_json(long);
        }
        ResponseTemplate::new(200).set_body_json(answer("The cell is infected."))
    }
}

#[tokio::test]
async fn a_retry_that_is_too_long_ends_with_the_answers_there_are() {
    let server = MockServer::start().await;
    Mock::given(method("POST")).respond_with(FaultyThenLong).mount(&server).await;
    let run = run(member(&server.uri(), Duration::from_secs(5)), None, Budget::default()).await;
    assert_eq!((run.written.summaries[0].n_replaced, run.reasons().as_str()), (6, ""), "{:?}", run.written.summaries);
}

#[tokio::test]
async fn nobody_there_is_told() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let member = member(&format!("http://127.0.0.1:{port}/v1/"), Duration::from_secs(2));
    run(member, None, Budget::default()).await.none_answered("no connection");
}

/// Reads a request, then answers as `respond` does, on each of a few connections.
fn raw_server(respond: impl Fn(&mut std::net::TcpStream) + Send + Clone + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let respond = respond.clone();
            std::thread::spawn(move || {
                let mut buffer = [0; 65536];
                if stream.read(&mut buffer).is_ok() {
                    respond(&mut stream);
                }
            });
        }
    });
    format!("http://127.0.0.1:{port}/v1/")
}

#[tokio::test]
async fn connections_that_break_or_drip_are_told() {
    let head = move |length: usize| {
        format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n")
    };
    let reset = raw_server(move |stream| {
        let _ = stream.write_all((head(5000) + "{\"id\": \"1\", \"cho").as_bytes());
    });
    run(member(&reset, Duration::from_secs(5)), None, Budget::default()).await.none_answered("connection broke");
    let drip = raw_server(move |stream| {
        let _ = stream.write_all(head(5000).as_bytes());
        while stream.write_all(b" ").is_ok() {
            std::thread::sleep(Duration::from_millis(30));
        }
    });
    run(member(&drip, Duration::from_millis(300)), None, Budget::default()).await.none_answered("in time");
}

#[tokio::test]
async fn nothing_answered_is_asked_again() {
    let folder = tempfile::tempdir().unwrap();
    let server = failing(ResponseTemplate::new(500), 0).await;
    let endpoint = format!("{}/v1/", server.uri());
    for expected_cached in [false, true] {
        let cache = Some(Arc::new(AnswerCache::open(&folder.path().join("answers.redb")).unwrap()));
        let run = run(member(&endpoint, Duration::from_secs(5)), cache, Budget::default()).await;
        run.all_answered();
        let summary = &run.written.summaries[0];
        assert_eq!(summary.n_cached > 0, expected_cached);
        assert_eq!(server.received_requests().await.unwrap().len(), run.n_units);
        assert_eq!(summary.cost > 0.0, !expected_cached);
    }
}

#[tokio::test]
async fn budgets_end_a_run_before_they_are_exceeded() {
    let server = failing(ResponseTemplate::new(500), 0).await;
    let member = member(&format!("{}/v1/", server.uri()), Duration::from_secs(5));
    let run = run(member, None, Budget::new(Some(400), None)).await;
    assert!(run.reasons().contains("budget spent"), "{}", run.reasons());
    let n = server.received_requests().await.unwrap().len() as u64;
    assert!(n > 0 && n * 50 <= 400, "{n} requests of 50 tokens");
}

#[tokio::test]
async fn a_budget_that_all_fits_into_refuses_nothing_for_what_is_in_flight() {
    let server = failing(ResponseTemplate::new(500), 0).await;
    let endpoint = format!("{}/v1/", server.uri());
    let first = run(member(&endpoint, Duration::from_secs(5)), None, Budget::default()).await;
    // Each answer costs 50 tokens and might cost up to some 300.
    let most = (first.n_units as u64 - 1) * 50 + 400;
    let mut eager = member(&endpoint, Duration::from_secs(5));
    eager.limits.concurrency = 8;
    run(eager, None, Budget::new(Some(most), None)).await.all_answered();
}

#[tokio::test]
async fn models_without_weight_are_not_asked() {
    let server = failing(ResponseTemplate::new(500), 0).await;
    let mut member = member(&format!("{}/v1/", server.uri()), Duration::from_secs(5));
    member.weight = 0.0;
    let run = run(member, None, Budget::default()).await;
    assert_eq!((run.n_units, run.written.entries.len()), (0, 0));
    assert!(server.received_requests().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_spent_budget_does_not_wait_for_its_turn() {
    // May be billed at its longest, which spends it all.
    let half = ResponseTemplate::new(200).set_body_raw("{\"choices\": [{\"message\"", "application/json");
    let server = failing(half, 1000).await;
    let mut member = member(&format!("{}/v1/", server.uri()), Duration::from_secs(5));
    member.limits.requests_per_minute = std::num::NonZeroU32::new(2);
    let ended = tokio::time::timeout(Duration::from_secs(25), run(member, None, Budget::new(Some(300), None))).await;
    assert!(ended.expect("it ends at once").reasons().contains("budget spent"));
}

#[tokio::test]
async fn requests_per_minute_are_kept() {
    let server = failing(ResponseTemplate::new(500), 0).await;
    let mut member = member(&format!("{}/v1/", server.uri()), Duration::from_secs(5));
    // Five at once, then one every two seconds.
    member.limits.requests_per_minute = std::num::NonZeroU32::new(30);
    let begun = Instant::now();
    let run = run(member, None, Budget::default()).await;
    run.all_answered();
    let allowed = 5.0 + begun.elapsed().as_secs_f64() / 2.0;
    assert!(
        (7.0..=allowed + 1.0).contains(&(run.n_units as f64)),
        "{} requests where {allowed} are allowed",
        run.n_units
    );
}

#[tokio::test]
async fn captioners_of_one_provider_share_its_requests() {
    let server = failing(ResponseTemplate::new(500), 0).await;
    let mut members = [(); 3].map(|()| member(&format!("{}/v1/", server.uri()), Duration::from_secs(5)));
    // Ten at once, then one a second; the others have no limit of their own.
    members[0].limits.requests_per_minute = std::num::NonZeroU32::new(60);
    let begun = Instant::now();
    let run = run_all(&members, None, Budget::default()).await;
    let (n, allowed) = (run.n_units as f64, 11.0 + begun.elapsed().as_secs_f64());
    assert!((13.0..=allowed).contains(&n), "{n} requests where {allowed} are allowed");
}

#[tokio::test]
async fn failures_that_may_be_billed_count_as_spent() {
    let half = ResponseTemplate::new(200).set_body_raw("{\"choices\": [{\"message\"", "application/json");
    let server = failing(half, 1000).await;
    let member = member(&format!("{}/v1/", server.uri()), Duration::from_secs(5));
    let run = run(member, None, Budget::new(Some(1000), None)).await;
    assert!(run.reasons().contains("budget spent"), "{}", run.reasons());
    let n = server.received_requests().await.unwrap().len();
    assert!((1..=1000 / 60).contains(&n), "{n} requests");
}

#[tokio::test]
async fn providers_that_are_always_busy_are_given_up() {
    against(ResponseTemplate::new(429), 10_000).await.0.none_answered("failures in a row");
    let tomorrow = ResponseTemplate::new(429).insert_header("retry-after", "86400");
    let (run, n) = against(tomorrow, 10_000).await;
    run.none_answered("asks to wait 86400 s");
    assert!(n <= 2, "{n} requests to a provider that wants none");
}

#[tokio::test]
async fn a_pause_and_an_empty_account_are_told_apart() {
    let slow = json!({ "error": { "message": "Rate limit reached, see account/billing", "type": "requests" } });
    against(ResponseTemplate::new(429).set_body_json(slow), 10_000).await.0.none_answered("Rate limit reached");
    let empty = json!({ "error": { "message": "You exceeded your current quota", "code": "insufficient_quota" } });
    let (run, n) = against(ResponseTemplate::new(429).set_body_json(empty), 10_000).await;
    run.none_answered("exceeded your current quota");
    assert!(n <= 2, "{n} requests without credit");
}

#[tokio::test]
async fn one_refused_conversation_is_no_refused_model() {
    let filtered = json!({ "error": { "message": "blocked by the content filter" } });
    let (run, n) = against(ResponseTemplate::new(400).set_body_json(filtered), 1).await;
    assert_eq!(n, run.n_units);
    assert!(run.accepted() > 0 && run.reasons().contains("content filter"), "{}", run.reasons());
}

#[test]
fn limits_that_limit_nothing_and_keys_in_addresses_are_refused() {
    let build = |model: &str| {
        let text =
            format!("version = 1\nbudget.max_cost = 1.0\n[[captioner]]\nkind = 'model'\n[captioner.model]\n{model}");
        let config = CaptionersConfig::from_toml(&text).unwrap();
        let key = |name: &str| Some(if name == "EMPTY" { " \n".to_owned().into() } else { KEY.to_owned().into() });
        model_captioners(&config, &AttributeSchema::wbcatt(), std::path::Path::new(""), &key)
    };
    let refused = |model: &str| build(model).unwrap_err().to_string();
    let named = "name = 'm'\nprovider = 'openai'\n";
    assert!(refused(named).contains("max_cost"));
    assert!(refused(&format!("{named}prompt_price = 1.0\nkey_env = 'EMPTY'")).contains("EMPTY is empty"));
    let inside = refused(&format!("{named}prompt_price = 1.0\nendpoint = 'https://me:{KEY}@host/v1/'"));
    assert!(inside.contains("key_env") && !inside.contains(KEY), "{inside}");
    assert!(build(&format!("{named}prompt_price = 1.0\nkey_env = 'KEY'")).is_ok());
    let folder = tempfile::tempdir().unwrap();
    let prompt = folder.path().join("prompt.toml");
    std::fs::write(&prompt, "version = 1\nsystem = 'x'").unwrap();
    let bad = refused(&format!("{named}prompt_price = 1.0\nprompt = '{}'", prompt.display()));
    assert!(bad.contains("prompt.toml") && bad.ends_with("captioner 1 (m)"), "{bad}");
}

#[test]
fn tones_follow_the_method_and_providers_the_address_and_key() {
    let text = "version = 1\n[[captioner]]\nkind = 'model'\n[captioner.model]\nname = 'a'\nprovider = 'openai'\n\
                [[captioner]]\nkind = 'model'\n[captioner.model]\nname = 'gpt-4'\nmethod = 'fact'\n\
                [[captioner]]\nkind = 'model'\nweight = 0.0\n[captioner.model]\nname = 'gpt-4'\nkey_env = 'UNSET'";
    let config = CaptionersConfig::from_toml(text).unwrap();
    let members = model_captioners(&config, &AttributeSchema::wbcatt(), std::path::Path::new(""), &|_| None).unwrap();
    assert_eq!((members[0].registers[0], members[1].registers[0]), (Register::Sentence, Register::List));
    assert_eq!(members[0].provider, members[1].provider);
    assert_ne!(members[1].provider, members[2].provider);
}
