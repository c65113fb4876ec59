//! The last check of `up`: a Service's name is answered, by the DNS of the first node, over the wire as a pod would ask.

use std::{str::FromStr as _, time::Duration};

use anyhow::{Context as _, bail};
use hickory_proto::{
    op::{Message, Query},
    rr::{Name, RecordType},
};
use tokio::{net::UdpSocket, time::timeout};

use crate::config;

/// The name of the API's own Service, which every cluster has.
const NAME: &str = "kubernetes.default.svc.cluster.local.";
/// Questions that are asked, and how long each waits: a server that has just started has its names within the first.
const QUESTIONS: usize = 20;
const PATIENCE: Duration = Duration::from_millis(250);

/// Returns once the name is answered.
///
/// # Errors
/// When it is not, however often it is asked.
pub async fn answered() -> anyhow::Result<()> {
    let mut question = Message::query();
    question.add_query(Query::query(Name::from_str(NAME).context("a name is malformed")?, RecordType::A));
    let bytes = question.to_vec().context("a question cannot be written")?;
    let socket = UdpSocket::bind("0.0.0.0:0").await.context("cannot open a socket")?;
    socket.connect(config::DNS).await.context("there is no way to the cluster's DNS")?;
    let mut buffer = [0; 512];
    let mut last = "no answer".to_owned();
    for _ in 0..QUESTIONS {
        // A refusal of the one before may be told at this one.
        let _ = socket.send(&bytes).await;
        match timeout(PATIENCE, socket.recv(&mut buffer)).await {
            Ok(Ok(length)) => match Message::from_vec(&buffer[..length]) {
                Ok(answer) if !answer.answers.is_empty() => return Ok(()),
                Ok(answer) => last = format!("{:?}", answer.metadata.response_code),
                Err(error) => last = error.to_string(),
            },
            Ok(Err(error)) => last = error.to_string(),
            Err(_) => continue,
        }
        // An empty answer or a refusal comes at once: the next question waits for the rest of its time.
        let _ = timeout(PATIENCE, std::future::pending::<()>()).await;
    }
    bail!("the cluster's DNS at {} does not answer for {NAME}: {last}", config::DNS)
}
