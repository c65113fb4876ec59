//! What a lifecycle hook does: a program in the container, a request, or a pause.

use std::time::Duration;

use k8s_openapi::api::core::v1::LifecycleHandler;

use super::probe::{exec, http};
use super::run::Target;

/// How long the request of a hook may take.
const REQUEST_MAX: Duration = Duration::from_secs(60);

/// Runs it to its end; the text says what went wrong.
pub(super) async fn run(target: &Target, handler: &LifecycleHandler) -> Result<(), String> {
    if let Some(action) = &handler.exec {
        let argv = action.command.clone().unwrap_or_default();
        let shown = format!("[{}]", argv.join(" "));
        let (code, output) = exec::run(target, argv).await?;
        return match code {
            0 => Ok(()),
            code => Err(format!(
                "Exec lifecycle hook ({shown}) for Container \"{}\" failed - error: command '{}' exited with {code}: {output}, message: \"{output}\"",
                target.container.name,
                shown.trim_matches(['[', ']'])
            )),
        };
    }
    if let Some(action) = &handler.http_get {
        return match tokio::time::timeout(REQUEST_MAX, http::get(target, action)).await {
            Ok(Ok(answer)) if answer.code < 400 => Ok(()),
            Ok(Ok(answer)) => Err(format!("HTTP lifecycle hook failed with statuscode: {}", answer.code)),
            Ok(Err(why)) => Err(why),
            Err(_) => Err("HTTP lifecycle hook timed out".into()),
        };
    }
    if let Some(action) = &handler.sleep {
        ::client::queue::pause(Duration::from_secs(u64::try_from(action.seconds).unwrap_or(0))).await;
    }
    Ok(())
}
