// Runs upstream's conformance tests against a cluster, given or of its own making, and says by SIG how many pass.
// Exits 0 when every selected test passed, 3 when one of passing.txt did not, 1 when another did not, 2 when it could not run.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"sync"
	"syscall"
	"time"
)

type options struct {
	kubeconfig, coracle, out, here string
	focus, skip                    string
	resume, quick, keep            bool
	processes, attempts            int
	limit, whole                   time.Duration
}

const (
	exitPassed = iota
	exitFailed
	exitBroken
	exitLost
)

func main() {
	var o options
	flag.StringVar(&o.kubeconfig, "kubeconfig", "", "a running cluster; without it two nodes are brought up and taken down")
	flag.StringVar(&o.coracle, "coracle", "../target/release/coracle", "the binary that brings up the cluster")
	flag.StringVar(&o.out, "out", "../out/conformance", "where programs, images and results are")
	flag.StringVar(&o.here, "lists", ".", "the folder of passing.txt and quick.txt")
	flag.StringVar(&o.focus, "focus", "", "only tests whose name this pattern matches")
	flag.StringVar(&o.skip, "skip", "", "no tests whose name this pattern matches")
	flag.BoolVar(&o.resume, "resume", false, "keep earlier results and run only what has not passed")
	flag.BoolVar(&o.quick, "quick", false, "only the tests of quick.txt")
	flag.BoolVar(&o.keep, "keep", false, "leave the cluster up")
	flag.IntVar(&o.processes, "processes", 8, "how many tests run at once, the serial ones apart")
	flag.IntVar(&o.attempts, "attempts", 1, "how often a test that fails is tried; upstream's own jobs try again too")
	flag.DurationVar(&o.limit, "limit", 12*time.Minute, "the time of one test; one waits until the past is forgotten, which takes up to ten minutes")
	flag.DurationVar(&o.whole, "whole", 3*time.Hour, "the time of the whole run")
	flag.Parse()
	code, err := o.execute()
	if err != nil {
		fmt.Fprintln(os.Stderr, "conformance:", err)
	}
	os.Exit(code)
}

func (o *options) execute() (int, error) {
	for _, folder := range []*string{&o.out, &o.coracle, &o.here} {
		absolute, err := filepath.Abs(*folder)
		if err != nil {
			return exitBroken, err
		}
		*folder = absolute
	}
	all, err := conformanceTests()
	if err != nil {
		return exitBroken, err
	}
	known, err := readNames(filepath.Join(o.here, "passing.txt"))
	if err != nil {
		return exitBroken, err
	}
	logs := filepath.Join(o.out, "logs")
	if err := os.MkdirAll(logs, 0o755); err != nil {
		return exitBroken, err
	}
	results, err := openRecord(filepath.Join(o.out, "results.jsonl"), o.resume)
	if err != nil {
		return exitBroken, err
	}
	selected, err := o.selection(all, results)
	if err != nil {
		return exitBroken, err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, o.whole)
	defer cancel()
	if o.kubeconfig == "" {
		own := &cluster{coracle: o.coracle, dataDir: filepath.Join(o.out, "cluster"), keep: o.keep}
		defer func() {
			if err := own.down(); err != nil {
				fmt.Fprintln(os.Stderr, "conformance:", err)
			}
		}()
		if err := own.up(ctx, filepath.Join(o.out, "images.tar")); err != nil {
			return exitBroken, err
		}
		o.kubeconfig = own.kubeconfig()
	}
	runner := &suite{programs: filepath.Join(o.out, "bin"), kubeconfig: o.kubeconfig, logs: logs, limit: o.limit, attempts: o.attempts, extra: flag.Args()}
	if err := runner.runAll(ctx, selected, o.processes, results); err != nil {
		return exitBroken, err
	}
	return o.conclude(all, selected, known, results)
}

// selection applies the flags; serial tests come last, since they run alone.
func (o *options) selection(all []test, results *record) ([]test, error) {
	focus, err := regexp.Compile(o.focus)
	if err != nil {
		return nil, fmt.Errorf("the focus: %w", err)
	}
	skip, err := regexp.Compile(o.skip)
	if err != nil {
		return nil, fmt.Errorf("the pattern to skip: %w", err)
	}
	quick, err := readNames(filepath.Join(o.here, "quick.txt"))
	if err != nil {
		return nil, err
	}
	var together, alone []test
	for _, t := range all {
		switch {
		case !focus.MatchString(t.name), o.skip != "" && skip.MatchString(t.name), o.quick && !quick[t.name], o.resume && results.passed(t.name):
		case t.serial:
			alone = append(alone, t)
		default:
			together = append(together, t)
		}
	}
	return append(together, alone...), nil
}

// runAll runs the parallel tests in several processes, then the serial ones one by one.
func (s *suite) runAll(ctx context.Context, selected []test, processes int, results *record) error {
	queue := make(chan test)
	var wait sync.WaitGroup
	var once sync.Once
	var broken error
	done := 0
	var mutex sync.Mutex
	one := func(t test) {
		made := s.run(ctx, t)
		for attempt := 2; attempt <= s.attempts && made.Outcome == failed && ctx.Err() == nil; attempt++ {
			fmt.Printf("        failed, attempt %d begins: %s\n        %s\n", attempt, t.name, made.Reason)
			made = s.run(ctx, t)
		}
		if ctx.Err() != nil {
			return
		}
		if err := results.add(made); err != nil {
			once.Do(func() { broken = err })
		}
		mutex.Lock()
		defer mutex.Unlock()
		done++
		fmt.Printf("%3d/%d %s %5.0fs %s\n", done, len(selected), made.Outcome, made.Seconds, t.name)
		if made.Outcome == failed {
			fmt.Printf("        %s\n", made.Reason)
		}
	}
	for range processes {
		wait.Go(func() {
			for t := range queue {
				one(t)
			}
		})
	}
	var alone []test
	for _, t := range selected {
		if t.serial {
			alone = append(alone, t)
		} else {
			queue <- t
		}
	}
	close(queue)
	wait.Wait()
	for _, t := range alone {
		one(t)
	}
	return broken
}

func (o *options) conclude(all, selected []test, known map[string]bool, results *record) (int, error) {
	results.failures(os.Stdout, selected)
	fmt.Println()
	results.table(os.Stdout, all)
	code := exitPassed
	var grown []string
	for _, t := range selected {
		switch {
		case results.passed(t.name):
			grown = append(grown, t.name)
		case known[t.name]:
			fmt.Printf("LOST   %s\n", t.name)
			code = exitLost
		case code == exitPassed:
			code = exitFailed
		}
	}
	if err := addNames(filepath.Join(o.here, "passing.txt"), grown); err != nil {
		return exitBroken, err
	}
	return code, nil
}
