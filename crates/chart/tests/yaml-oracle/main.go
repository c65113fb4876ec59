// Answers, a JSON line each, what sigs.k8s.io/yaml and yaml.v3 make of a value or of a text.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"lines"
	"strings"

	"sigs.k8s.io/yaml"
	goyaml "sigs.k8s.io/yaml/goyaml.v3"
)

type question struct {
	Op    string          `json:"op"`
	Value json.RawMessage `json:"value"`
	Text  []byte          `json:"text"`
}

type answer struct {
	Out   string `json:"out"`
	Error string `json:"error"`
}

func plain(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			v[k] = plain(e)
		}
	case []any:
		for i, e := range v {
			v[i] = plain(e)
		}
	case json.Number:
		if strings.ContainsAny(v.String(), ".eE") {
			f, _ := v.Float64()
			return f
		}
		if i, err := v.Int64(); err == nil {
			return i
		}
		var u uint64
		_, _ = fmt.Sscan(v.String(), &u)
		return u
	}
	return v
}

func write(op string, v any) ([]byte, error) {
	if op == "write" {
		return yaml.Marshal(v)
	}
	var b bytes.Buffer
	e := goyaml.NewEncoder(&b)
	e.SetIndent(2)
	err := e.Encode(v)
	return b.Bytes(), err
}

func reply(q question) (a answer) {
	defer func() {
		if r := recover(); r != nil {
			a.Error = fmt.Sprint("panic: ", r)
		}
	}()
	var out []byte
	var err error
	switch q.Op {
	case "write", "pretty":
		d := json.NewDecoder(bytes.NewReader(q.Value))
		d.UseNumber()
		var v any
		if err := d.Decode(&v); err != nil {
			return answer{Error: "oracle: " + err.Error()}
		}
		v = plain(v)
		out, err = write(q.Op, v)
		// go-yaml's order of keys has cycles, whose outcome depends on chance.
		for range 12 {
			if again, _ := write(q.Op, v); !bytes.Equal(out, again) {
				return answer{Error: "unstable"}
			}
		}
	case "read", "strict":
		var v any
		if q.Op == "read" {
			err = yaml.Unmarshal(q.Text, &v)
		} else {
			err = yaml.UnmarshalStrict(q.Text, &v)
		}
		if err == nil {
			out, err = json.Marshal(v)
		}
	}
	if err != nil {
		return answer{Error: err.Error()}
	}
	return answer{Out: string(out)}
}

func main() {
	lines.Serve(reply)
}
