package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sort"
	"sync"
)

// record is results.jsonl: appended to as tests end, so that an interrupted run loses none.
type record struct {
	mutex  sync.Mutex
	file   *os.File
	latest map[string]result
}

func openRecord(file string, resume bool) (*record, error) {
	r := &record{latest: map[string]result{}}
	flags := os.O_CREATE | os.O_RDWR | os.O_APPEND
	if !resume {
		flags |= os.O_TRUNC
	}
	var err error
	if r.file, err = os.OpenFile(file, flags, 0o644); err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(r.file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var one result
		// A line torn by an interruption is a test that has to run again.
		if json.Unmarshal(lines.Bytes(), &one) == nil {
			r.latest[one.Name] = one
		}
	}
	return r, lines.Err()
}

func (r *record) add(one result) error {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.latest[one.Name] = one
	line, err := json.Marshal(one)
	if err != nil {
		return err
	}
	_, err = r.file.Write(append(line, '\n'))
	return err
}

func (r *record) passed(name string) bool { return r.latest[name].Outcome == passed }

// table prints the count by SIG over all tests, whatever this run selected.
func (r *record) table(out io.Writer, tests []test) {
	type count struct{ passed, failed, missing int }
	counts := map[string]*count{}
	total := &count{}
	for _, t := range tests {
		if counts[t.sig] == nil {
			counts[t.sig] = &count{}
		}
		for _, c := range []*count{counts[t.sig], total} {
			switch r.latest[t.name].Outcome {
			case passed:
				c.passed++
			case failed:
				c.failed++
			default:
				c.missing++
			}
		}
	}
	sigs := make([]string, 0, len(counts))
	for sig := range counts {
		sigs = append(sigs, sig)
	}
	sort.Strings(sigs)
	fmt.Fprintf(out, "%-18s %7s %7s %8s\n", "SIG", "passed", "failed", "not run")
	for _, sig := range sigs {
		fmt.Fprintf(out, "%-18s %7d %7d %8d\n", sig, counts[sig].passed, counts[sig].failed, counts[sig].missing)
	}
	fmt.Fprintf(out, "%-18s %7d %7d %8d  of %d\n", "all", total.passed, total.failed, total.missing, len(tests))
}

// failures prints each failed one of the selected tests with its first reason.
func (r *record) failures(out io.Writer, selected []test) {
	for _, t := range selected {
		if one := r.latest[t.name]; one.Outcome == failed {
			fmt.Fprintf(out, "\nFAILED %s (%.0f s)\n    %s\n    %s  %s\n", t.name, one.Seconds, one.Reason, one.At, one.Log)
		}
	}
}
