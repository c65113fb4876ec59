package main

import (
	"bufio"
	"fmt"
	"os"
	"regexp"
	"sort"
	"strings"

	"k8s.io/kubernetes/test/conformance/testdata"
	"sigs.k8s.io/yaml"
)

// test is one that upstream marks as part of conformance.
type test struct {
	name   string
	sig    string
	serial bool
}

var sigOf = regexp.MustCompile(`^\[sig-([a-z-]+)\]`)

// conformanceTests are upstream's list at the pinned version, in its order.
func conformanceTests() ([]test, error) {
	text, err := testdata.GetConformanceTestdataFS().ReadTestFile("test/conformance/testdata/conformance.yaml")
	if err != nil {
		return nil, fmt.Errorf("read upstream's list of tests: %w", err)
	}
	var entries []struct {
		Codename string `json:"codename"`
	}
	if err := yaml.Unmarshal(text, &entries); err != nil {
		return nil, fmt.Errorf("parse upstream's list of tests: %w", err)
	}
	tests := make([]test, 0, len(entries))
	for _, entry := range entries {
		sig := "other"
		if found := sigOf.FindStringSubmatch(entry.Codename); found != nil {
			sig = found[1]
		}
		tests = append(tests, test{name: entry.Codename, sig: sig, serial: strings.Contains(entry.Codename, "[Serial]")})
	}
	return tests, nil
}

// readNames reads one name a line; a missing file is an empty one.
func readNames(file string) (map[string]bool, error) {
	names := map[string]bool{}
	opened, err := os.Open(file)
	if os.IsNotExist(err) {
		return names, nil
	}
	if err != nil {
		return nil, err
	}
	defer opened.Close()
	lines := bufio.NewScanner(opened)
	for lines.Scan() {
		if line := strings.TrimSpace(lines.Text()); line != "" && !strings.HasPrefix(line, "#") {
			names[line] = true
		}
	}
	return names, lines.Err()
}

// addNames grows a list of names; it never takes one away.
func addNames(file string, more []string) error {
	names, err := readNames(file)
	if err != nil {
		return err
	}
	before := len(names)
	for _, name := range more {
		names[name] = true
	}
	if len(names) == before {
		return nil
	}
	sorted := make([]string, 0, len(names))
	for name := range names {
		sorted = append(sorted, name)
	}
	sort.Strings(sorted)
	return os.WriteFile(file, []byte(strings.Join(sorted, "\n")+"\n"), 0o644)
}
