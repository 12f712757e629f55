//! A holder container from outside: made beside a target, talked to, replaced when it dies.
//!
//! One holder for each life of a target, found by its name, so that several programs share it.

use std::{
    collections::HashMap,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use bollard::{
    Docker,
    container::{AttachContainerResults, LogOutput},
    exec::StartExecResults,
    models::{ContainerStateStatusEnum, ExecConfig},
    query_parameters::{
        AttachContainerOptionsBuilder, CreateContainerOptionsBuilder, RemoveContainerOptionsBuilder,
        WaitContainerOptions,
    },
};
use futures_util::{Stream, StreamExt as _};
use tokio::{
    io::{AsyncWrite, AsyncWriteExt as _},
    sync::oneshot,
    time::{Instant, timeout},
};

use super::{beside::Beside, client, engine::Engine, image};
use crate::{
    holder::{
        TALK,
        protocol::{Answer, Ask, Failure, Reply, Request},
    },
    step::Step,
    subject::SubjectError,
};

/// How long a change of the network may take.
const SOON: Duration = Duration::from_secs(20);
/// How long filling a disk may take where it must be written byte by byte.
const LONG: Duration = Duration::from_secs(3600);

/// How long a helper that another program made may wait for its start; then that program is taken to be dead.
pub(super) const UNSTARTED: Duration = Duration::from_secs(5);

/// How many ways to a helper are tried where they end at once.
const TALKS: u32 = 4;

type Pending = Arc<Mutex<HashMap<String, oneshot::Sender<Result<Answer, Failure>>>>>;

/// A conversation with one holder.
pub struct Holder {
    /// The container's id.
    container: String,
    target: String,
    input: tokio::sync::Mutex<Pin<Box<dyn AsyncWrite + Send>>>,
    pending: Pending,
    /// Sets our requests apart from those of other programs at the same holder.
    nonce: u32,
    count: AtomicU64,
    dead: Arc<AtomicBool>,
    /// It said that it quits, to whichever program asked it to.
    quitting: Arc<AtomicBool>,
    step: fn(Step),
    /// This program made it, so it has no memory of what a former one held.
    pub fresh: bool,
}

impl Holder {
    /// Talks to the holder that is there, or makes one.
    pub(super) async fn open(engine: &Engine, image: &str, beside: &Beside) -> Result<Self, SubjectError> {
        let name = beside.container_name();
        // Two programs may make it at the same moment, and one that ends holds its name until it is removed.
        let begun = Instant::now();
        while begun.elapsed() < client::LONG_PATIENCE {
            // Rare, and large: kept out of the futures of everybody who may need it.
            let opening = Box::pin(Self::try_open(engine, image, beside, &name, begun.elapsed() > UNSTARTED));
            match opening.await {
                Err(SubjectError::Docker { reason, .. }) if is_in_between(&reason) => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                result => return result,
            }
        }
        let client = engine.client();
        let reason = format!("its container {name} neither starts nor goes away; remove it: {client} rm -f {name}");
        Err(SubjectError::Holder { target: beside.name().to_owned(), reason })
    }

    /// With `impatient` a container that somebody made and never started is replaced.
    async fn try_open(
        engine: &Engine,
        image: &str,
        beside: &Beside,
        name: &str,
        impatient: bool,
    ) -> Result<Self, SubjectError> {
        let docker = &engine.docker;
        if let Some(found) = client::container(docker, name).await? {
            let id = found.id.unwrap_or_default();
            let status = found.state.and_then(|state| state.status);
            if status == Some(ContainerStateStatusEnum::CREATED) && !impatient {
                let reason = format!("{name} is not running yet");
                return Err(SubjectError::Docker { operation: "attach to", object: name.to_owned(), reason });
            }
            if status == Some(ContainerStateStatusEnum::RUNNING) {
                let holder = Self::attach(engine, id, beside, false).await?;
                return holder.greet(docker, name).await.map(|()| holder);
            }
            // By its id: another program may have put a living one in its place.
            remove(docker, &id).await?;
        }
        let options = CreateContainerOptionsBuilder::new().name(name).build();
        let made = docker.create_container(Some(options), beside.body(image));
        let id = client::change("make the helper container", name, made).await?.id;
        beside.step()(Step::HelperMade);
        // Attached before it starts, so that not a line is lost. A process in it needs one that runs.
        let attached =
            if engine.is_podman { None } else { Some(Self::attach(engine, id.clone(), beside, true).await?) };
        if let Err(error) = client::change("start the helper container", name, docker.start_container(&id, None)).await
        {
            // Docker removes only what has run.
            remove(docker, &id).await?;
            return Err(error);
        }
        beside.step()(Step::HelperStarted);
        if let Err(error) = beside.still_lives(docker).await {
            remove(docker, &id).await?;
            return Err(error);
        }
        match attached {
            Some(holder) => Ok(holder),
            None => Self::attach(engine, id, beside, true).await,
        }
    }

    /// Talks to a holder as the daemon allows: Podman closes a container's standard input behind the first who was
    /// attached, so there it is through a process beside the holder's own.
    pub(super) async fn attach(
        engine: &Engine,
        container: String,
        beside: &Beside,
        fresh: bool,
    ) -> Result<Self, SubjectError> {
        let mut left = TALKS;
        loop {
            let holder = Self::attach_once(engine, container.clone(), beside, fresh).await?;
            left -= 1;
            // Where Podman is busy, a process that it started in the container may end before it has said a word.
            if !engine.is_podman || left == 0 || holder.ask_aside(Ask::Hello).await.is_ok() || !holder.is_cut_off() {
                return Ok(holder);
            }
            tracing::warn!(container, left, "the way to the helper ended before it answered: trying another");
        }
    }

    async fn attach_once(
        engine: &Engine,
        container: String,
        beside: &Beside,
        fresh: bool,
    ) -> Result<Self, SubjectError> {
        let docker = &engine.docker;
        let AttachContainerResults { output, input } = if engine.is_podman {
            talk(docker, &container).await?
        } else {
            let options = AttachContainerOptionsBuilder::new().stream(true).stdin(true).stdout(true).build();
            client::change("attach to", &container, docker.attach_container(&container, Some(options))).await?
        };
        beside.step()(Step::HelperAttached);
        let (pending, dead, quitting) =
            (Pending::default(), Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default());
        tokio::spawn(listen(output, Arc::clone(&pending), Arc::clone(&dead), Arc::clone(&quitting)));
        Ok(Self {
            container,
            target: beside.name().to_owned(),
            input: tokio::sync::Mutex::new(input),
            pending,
            nonce: rand::random(),
            count: AtomicU64::new(0),
            dead,
            quitting,
            step: beside.step(),
            fresh,
        })
    }

    /// Waits until an existing holder answers. One that lives and is busy keeps other programs' deadlines and is not
    /// replaced; the output of one that was just ending when we attached may stay open with nothing in it.
    async fn greet(&self, docker: &Docker, name: &str) -> Result<(), SubjectError> {
        tokio::select! {
            answer = self.ask(Ask::Hello) => match answer {
                Ok(_) => return Ok(()),
                Err(error) if self.is_alive() => return Err(error),
                // Its words end a moment before it does; where it goes on, it was the way to it that ended.
                Err(error) => {
                    if client::patiently(UNSTARTED, wait_ended(docker, &self.container)).await.is_none() {
                        return Err(error);
                    }
                }
            },
            () = wait_ended(docker, &self.container) => {}
        }
        let reason = format!("{name} is not running any more");
        Err(SubjectError::Docker { operation: "attach to", object: name.to_owned(), reason })
    }

    /// Whether it can still be talked to.
    pub fn is_alive(&self) -> bool {
        !self.dead.load(Ordering::Acquire) && !self.has_quit()
    }

    /// Whether the way to it ended although it did not say that it quits.
    fn is_cut_off(&self) -> bool {
        self.dead.load(Ordering::Acquire) && !self.has_quit()
    }

    /// Whether it quit for want of anything to hold. It answers every request that it read before, so one without an
    /// answer was not carried out and may be sent to its successor.
    pub fn has_quit(&self) -> bool {
        self.quitting.load(Ordering::Acquire)
    }

    /// Sends one request and waits for its answer.
    pub async fn ask(&self, ask: Ask) -> Result<Answer, SubjectError> {
        self.asked(ask, self.step).await
    }

    /// The same for a measurement, which is no step on the way of anything.
    pub async fn ask_aside(&self, ask: Ask) -> Result<Answer, SubjectError> {
        self.asked(ask, |_| ()).await
    }

    async fn asked(&self, ask: Ask, step: fn(Step)) -> Result<Answer, SubjectError> {
        let patience = if matches!(ask, Ask::Fill { .. } | Ask::Probe(_)) { LONG } else { SOON };
        let id = format!("{:08x}-{}", self.nonce, self.count.fetch_add(1, Ordering::Relaxed));
        let request = Request { id: id.clone(), ask };
        let mut line = serde_json::to_vec(&request).map_err(|error| self.failed(error.to_string()))?;
        line.push(b'\n');
        let (sender, answer) = oneshot::channel();
        lock(&self.pending).insert(id.clone(), sender);
        if !self.is_alive() {
            return Err(self.failed("it has ended".to_owned()));
        }
        {
            let written = async {
                let mut input = self.input.lock().await;
                input.write_all(&line).await?;
                input.flush().await
            };
            let written = timeout(SOON, written).await.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()));
            written.map_err(|error| self.failed(format!("it cannot be written to: {error}")))?;
        }
        step(Step::RequestSent);
        match timeout(patience, answer).await {
            Ok(Ok(Ok(answer))) => {
                step(Step::AnswerReceived);
                Ok(answer)
            }
            Ok(Ok(Err(failure))) => Err(SubjectError::Fault { target: self.target.clone(), failure }),
            Ok(Err(_)) => Err(self.failed("it ended before it answered".to_owned())),
            Err(_) => {
                lock(&self.pending).remove(&id);
                Err(self.failed(format!("it did not answer within {} s", patience.as_secs())))
            }
        }
    }

    fn failed(&self, reason: String) -> SubjectError {
        SubjectError::Holder { target: self.target.clone(), reason }
    }

    /// Ends the holder if it holds nothing, and waits until its container is gone.
    pub async fn release(&self, docker: &Docker) {
        match self.ask(Ask::QuitIfIdle).await {
            Ok(Answer::Quitting { idle: true }) => wait_gone(docker, &self.container).await,
            Ok(_) => {}
            Err(error) => tracing::debug!(%error, "a holder could not be released"),
        }
    }
}

/// Standard input and output of a new process in the container that carries words to its first.
async fn talk(docker: &Docker, container: &str) -> Result<AttachContainerResults, SubjectError> {
    let config = ExecConfig {
        attach_stdin: Some(true),
        attach_stdout: Some(true),
        cmd: Some(vec![image::PROGRAM.to_owned(), TALK.to_owned()]),
        ..ExecConfig::default()
    };
    let made = client::change("attach to", container, docker.create_exec(container, config)).await?;
    match client::change("attach to", container, docker.start_exec(&made.id, None)).await? {
        StartExecResults::Attached { output, input } => Ok(AttachContainerResults { output, input }),
        StartExecResults::Detached => {
            let reason = "the process to talk through was started without us".to_owned();
            Err(SubjectError::Docker { operation: "attach to", object: container.to_owned(), reason })
        }
    }
}

/// Hands answers to those who wait for them, until the stream ends.
async fn listen(
    mut output: Pin<Box<dyn Stream<Item = Result<LogOutput, bollard::errors::Error>> + Send>>,
    pending: Pending,
    dead: Arc<AtomicBool>,
    quitting: Arc<AtomicBool>,
) {
    let mut buffer = Vec::new();
    while let Some(Ok(chunk)) = output.next().await {
        if let LogOutput::StdOut { message } = chunk {
            buffer.extend_from_slice(&message);
        }
        while let Some(end) = buffer.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = buffer.drain(..=end).collect();
            let Some(reply) = read_reply(&line) else { continue };
            if matches!(reply.result, Ok(Answer::Quitting { idle: true })) {
                quitting.store(true, Ordering::Release);
            }
            if let Some(waiting) = lock(&pending).remove(&reply.id) {
                let _ = waiting.send(reply.result);
            }
        }
    }
    dead.store(true, Ordering::Release);
    lock(&pending).clear();
}

/// An answer that cannot be read is one all the same to whoever waits for it.
fn read_reply(line: &[u8]) -> Option<Reply> {
    let error = match serde_json::from_slice::<Reply>(line) {
        Ok(reply) => return Some(reply),
        Err(error) => error,
    };
    let value: serde_json::Value = serde_json::from_slice(line).ok()?;
    let id = value.get("id")?.as_str()?.to_owned();
    Some(Reply { id, result: Err(Failure::failed(format!("its answer cannot be read: {error}"))) })
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Docker's words for a container that is on its way in or out.
fn is_in_between(reason: &str) -> bool {
    const WORDS: [&str; 6] = [
        "already in use",
        "is already in progress",
        "marked for removal",
        "no such container",
        "is not running",
        // Podman's for all of that.
        "container state improper",
    ];
    let reason = reason.to_lowercase();
    WORDS.iter().any(|words| reason.contains(words))
}

/// Removes a container whatever it does; one that is gone is fine.
pub(super) async fn remove(docker: &Docker, container: &str) -> Result<(), SubjectError> {
    let options = RemoveContainerOptionsBuilder::new().force(true).build();
    match client::find("remove", container, docker.remove_container(container, Some(options))).await {
        Err(SubjectError::Docker { reason, .. }) if is_in_between(&reason) => {}
        Err(error) => return Err(error),
        Ok(_) => {}
    }
    wait_gone(docker, container).await;
    Ok(())
}

/// Waits until Docker has removed the container, for a minute at most.
async fn wait_gone(docker: &Docker, container: &str) {
    // Docker's own wait for "removed" misses a removal that is under way, and then waits for ever (seen with 20.10).
    let gone = async {
        while let Ok(Some(_)) = client::container(docker, container).await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    client::patiently(client::LONG_PATIENCE, gone).await;
}

/// Waits for Docker to say that the container has ended, or that there is none.
async fn wait_ended(docker: &Docker, container: &str) {
    let options = WaitContainerOptions { condition: "not-running".to_owned() };
    let mut answers = std::pin::pin!(docker.wait_container(container, Some(options)));
    let _ = answers.next().await;
}
