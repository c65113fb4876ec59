package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/onsi/ginkgo/v2/types"
)

type outcome string

const (
	passed outcome = "passed"
	failed outcome = "failed"
)

// result is one line of results.jsonl; the last line of a test counts.
type result struct {
	Name    string  `json:"name"`
	SIG     string  `json:"sig"`
	Outcome outcome `json:"outcome"`
	Reason  string  `json:"reason,omitempty"`
	At      string  `json:"at,omitempty"`
	Seconds float64 `json:"seconds"`
	Log     string  `json:"log,omitempty"`
}

// suite runs single tests of upstream's binary.
type suite struct {
	programs   string
	kubeconfig string
	logs       string
	limit      time.Duration
	attempts   int
	extra      []string
}

// grace is what a test that ran into its limit gets to remove its namespace.
const grace = 30 * time.Second

// run gives each test a process of its own, so that neither a stuck nor a crashed one takes others with it.
func (s *suite) run(ctx context.Context, t test) result {
	started := time.Now()
	stem := filepath.Join(s.logs, fmt.Sprintf("%x", sha256.Sum256([]byte(t.name)))[:12])
	outcome, reason, at := s.attempt(ctx, t, stem)
	made := result{Name: t.name, SIG: t.sig, Outcome: outcome, Reason: reason, At: at, Seconds: time.Since(started).Seconds()}
	if outcome == passed {
		os.Remove(stem + ".log")
	} else {
		made.Log = stem + ".log"
	}
	return made
}

func (s *suite) attempt(ctx context.Context, t test, stem string) (outcome, string, string) {
	report := stem + ".json"
	defer os.Remove(report)
	log, err := os.Create(stem + ".log")
	if err != nil {
		return failed, err.Error(), ""
	}
	defer log.Close()
	hard, cancel := context.WithTimeout(ctx, s.limit+2*grace)
	defer cancel()
	command := exec.CommandContext(hard, filepath.Join(s.programs, "e2e.test"), s.arguments(t, report)...)
	command.Stdout, command.Stderr = log, log
	command.Env = append(os.Environ(), "KUBECONFIG="+s.kubeconfig)
	// Its kubectl children must go with it.
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	command.Cancel = func() error { return syscall.Kill(-command.Process.Pid, syscall.SIGKILL) }
	err = command.Run()
	if ctx.Err() != nil {
		return failed, "the run was ended", ""
	}
	return judge(report, err)
}

func (s *suite) arguments(t test, report string) []string {
	return append([]string{
		"--ginkgo.focus=(^| )" + regexp.QuoteMeta(t.name) + "$",
		"--ginkgo.timeout=" + s.limit.String(),
		"--ginkgo.grace-period=" + grace.String(),
		"--ginkgo.json-report=" + report,
		"--ginkgo.no-color",
		"--ginkgo.v",
		"--kubeconfig=" + s.kubeconfig,
		"--kubectl-path=" + filepath.Join(s.programs, "kubectl"),
		"--provider=skeleton",
		"--allowed-not-ready-nodes=1",
		"--minStartupPods=0",
		"--system-pods-startup-timeout=30s",
		"--system-daemonsets-startup-timeout=30s",
		"--node-schedulable-timeout=30s",
		"--dump-logs-on-failure=false",
		"--disable-log-dump=true",
	}, s.extra...)
}

// judge reads the report; only a test that the report calls passed in a process that ended well has passed.
func judge(report string, ended error) (outcome, string, string) {
	text, err := os.ReadFile(report)
	if err != nil {
		return failed, fmt.Sprintf("no report (%v)", ended), ""
	}
	var suites []types.Report
	if err := json.Unmarshal(text, &suites); err != nil || len(suites) != 1 {
		return failed, fmt.Sprintf("an unreadable report (%v)", ended), ""
	}
	ran := false
	for _, spec := range suites[0].SpecReports {
		if spec.Failed() {
			return failed, firstReason(spec.Failure.Message), location(spec.Failure.Location)
		}
		ran = ran || (spec.LeafNodeType == types.NodeTypeIt && spec.State == types.SpecStatePassed)
	}
	if ran && ended == nil {
		return passed, "", ""
	}
	for _, spec := range suites[0].SpecReports {
		if spec.State == types.SpecStateSkipped && spec.Failure.Message != "" {
			return failed, "skipped itself: " + firstReason(spec.Failure.Message), location(spec.Failure.Location)
		}
	}
	return failed, fmt.Sprintf("did not run: %s (%v)", strings.Join(suites[0].SpecialSuiteFailureReasons, "; "), ended), ""
}

func location(at types.CodeLocation) string {
	if at.FileName == "" {
		return ""
	}
	file := at.FileName
	if cut := strings.Index(file, "/test/e2e/"); cut >= 0 {
		file = file[cut+len("/test/e2e/"):]
	}
	return fmt.Sprintf("%s:%d", file, at.LineNumber)
}

var blank = regexp.MustCompile(`\s+`)

// firstReason folds the head of a message into one line.
func firstReason(message string) string {
	const reasonMax = 300
	folded := []rune(strings.TrimSpace(blank.ReplaceAllString(message, " ")))
	if len(folded) > reasonMax {
		return string(folded[:reasonMax]) + "…"
	}
	return string(folded)
}
