// Makes the images that the conformance tests name, under the names that the suite gives them, with no registry and no daemon:
// from the upstream programs beside it and from Debian packages. Writes one docker archive, in which images share their layers.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"k8s.io/kubernetes/test/utils/image"
)

func main() {
	programs := flag.String("programs", "../out/conformance/bin", "the folder of the built programs")
	sources := flag.String("sources", "", "the folder of upstream's module, for the files that its test images hold")
	output := flag.String("output", "../out/conformance/images.tar", "the archive to write")
	flag.Parse()
	log.SetFlags(0)
	if err := makeAll(*programs, *sources, *output); err != nil {
		log.Fatalf("making the images: %v", err)
	}
}

func makeAll(programs, sources, output string) error {
	bases, err := makeBases()
	if err != nil {
		return err
	}
	images := map[name.Tag]v1.Image{}
	for _, recipe := range recipes(programs, sources) {
		config := image.GetConfig(recipe.id)
		reference := config.GetE2EImage()
		tag, err := name.NewTag(reference, name.StrictValidation)
		if err != nil {
			return err
		}
		if images[tag], err = recipe.make(bases, reference); err != nil {
			return fmt.Errorf("%s: %w", reference, err)
		}
		log.Println(reference)
	}
	if err := os.MkdirAll(filepath.Dir(output), 0o755); err != nil {
		return err
	}
	// A torn archive must not look like a finished one.
	if err := tarball.MultiWriteToFile(output+".part", images); err != nil {
		return err
	}
	return os.Rename(output+".part", output)
}

func (r recipe) make(bases map[base]v1.Layer, reference string) (v1.Image, error) {
	var layers []v1.Layer
	if below := bases[r.base]; below != nil {
		layers = append(layers, below)
	}
	if r.files != nil {
		own, err := r.files(newLayer()).done()
		if err != nil {
			return nil, err
		}
		layers = append(layers, own)
	}
	made, err := mutate.AppendLayers(empty.Image, layers...)
	if err != nil {
		return nil, err
	}
	config := r.config
	config.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	// Two versions of one image must differ in their digest, though their files are the same.
	config.Labels = map[string]string{"dev.coracle.conformance": reference}
	return mutate.ConfigFile(made, &v1.ConfigFile{
		OS: "linux", Architecture: "amd64", Config: config, RootFS: rootFS(made),
	})
}

func rootFS(made v1.Image) v1.RootFS {
	file, err := made.ConfigFile()
	if err != nil {
		return v1.RootFS{Type: "layers"}
	}
	return file.RootFS
}

// makeBases builds the two lower layers: busybox alone, and Debian's tools with busybox filling the gaps.
func makeBases() (map[base]v1.Layer, error) {
	tree, err := debianTree()
	if err != nil {
		return nil, err
	}
	folder, err := os.MkdirTemp("", "images")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(folder)
	busybox, bash := filepath.Join(folder, "busybox"), filepath.Join(folder, "bash")
	for wanted, file := range map[string]string{"bin/busybox": busybox, "bin/bash-static": bash} {
		if err := extract(tree, wanted, file); err != nil {
			return nil, err
		}
	}
	listed, err := exec.Command(busybox, "--list").Output()
	if err != nil {
		return nil, fmt.Errorf("list the applets of busybox: %w", err)
	}
	applets := strings.Fields(string(listed))
	// The shell of Debian's busybox drops variables such as `data-1`, which upstream's passes on as bash does.
	small, err := newLayer().dir("bin", 0o755).file("bin/busybox", busybox, 0o755).file("bin/sh", bash, 0o755).userland(applets).done()
	if err != nil {
		return nil, err
	}
	// Debian's busybox prefers its own applets to programs of the same name, so it must not be the shell here.
	large, err := newLayer().debian(bytes.NewReader(tree)).alternative("sh", "dash").alternative("nc", "nc.openbsd").userland(applets).done()
	return map[base]v1.Layer{fromBusybox: small, fromDebian: large}, err
}

// debianTree unpacks the packages without configuring them, from the mirror that this machine uses.
func debianTree() ([]byte, error) {
	release, err := exec.Command("sh", "-c", `. /etc/os-release && printf %s "$VERSION_CODENAME"`).Output()
	if err != nil {
		return nil, fmt.Errorf("read the Debian release: %w", err)
	}
	command := exec.Command("mmdebstrap", "--quiet", "--variant=extract", "--include="+strings.Join(packages, ","), string(release), "-")
	command.Stderr = os.Stderr
	tree, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("unpack Debian packages with mmdebstrap: %w", err)
	}
	return tree, nil
}
