package main

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"os"
	"path"
	"sort"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// layer gathers the entries of one image layer. Entries carry no times, so that the same input gives the same digest.
type layer struct {
	buffer bytes.Buffer
	writer *tar.Writer
	names  map[string]bool
	err    error
}

func newLayer() *layer {
	l := &layer{names: map[string]bool{}}
	l.writer = tar.NewWriter(&l.buffer)
	return l
}

func (l *layer) add(header *tar.Header, content io.Reader) *layer {
	if l.err != nil {
		return l
	}
	l.names[clean(header.Name)] = true
	if l.err = l.writer.WriteHeader(header); l.err == nil && content != nil {
		_, l.err = io.Copy(l.writer, content)
	}
	return l
}

func (l *layer) dir(name string, mode int64) *layer {
	return l.add(&tar.Header{Typeflag: tar.TypeDir, Name: name + "/", Mode: mode}, nil)
}

func (l *layer) text(name, content string) *layer {
	return l.add(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(content))}, strings.NewReader(content))
}

func (l *layer) link(name, target string) *layer {
	return l.add(&tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: target, Mode: 0o777}, nil)
}

func (l *layer) file(name, from string, mode int64) *layer {
	if l.err != nil {
		return l
	}
	content, err := os.Open(from)
	if err != nil {
		l.err = err
		return l
	}
	defer content.Close()
	about, err := content.Stat()
	if err != nil {
		l.err = err
		return l
	}
	return l.add(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: mode, Size: about.Size()}, content)
}

func (l *layer) done() (v1.Layer, error) {
	if l.err == nil {
		l.err = l.writer.Close()
	}
	if l.err != nil {
		return nil, l.err
	}
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(l.buffer.Bytes())), nil
	}, tarball.WithCompressionLevel(1), tarball.WithCompressedCaching)
}

func clean(name string) string { return strings.TrimPrefix(path.Clean("/"+name), "/") }

// userland puts what every image with a shell has: a name for each applet of busybox that nothing else serves, users, folders.
func (l *layer) userland(applets []string) *layer {
	for _, folder := range []string{"bin", "sbin", "usr/bin", "usr/sbin", "etc", "root", "home", "var", "run", "usr", "usr/local", "usr/local/bin", "dev", "proc", "sys"} {
		if !l.names[folder] {
			l.dir(folder, 0o755)
		}
	}
	l.dir("tmp", 0o1777).dir("var/tmp", 0o1777)
	sort.Strings(applets)
	for _, applet := range applets {
		name := path.Base(applet)
		served := false
		for _, folder := range []string{"bin", "sbin", "usr/bin", "usr/sbin"} {
			served = served || l.names[folder+"/"+name]
		}
		if !served {
			l.link("bin/"+name, "/bin/busybox")
		}
	}
	passwd := "root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1:daemon:/usr/sbin:/bin/false\nnobody:x:65534:65534:nobody:/home:/bin/false\n"
	group := "root:x:0:\ndaemon:x:1:\nnogroup:x:65534:\n"
	return l.text("etc/passwd", passwd+"user-defined-in-image:x:1000:1000::/home:/bin/sh\n").
		text("etc/group", group+"user-defined-in-image:x:1000:\ngroup-defined-in-image:x:50000:user-defined-in-image\n").
		text("etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n")
}

// debian copies the packages' files, without what no test reads.
func (l *layer) debian(from io.Reader) *layer {
	entries := tar.NewReader(from)
	for l.err == nil {
		header, err := entries.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			l.err = fmt.Errorf("read the Debian tree: %w", err)
			break
		}
		name := clean(header.Name)
		if name == "" || unread(name) {
			continue
		}
		kept := &tar.Header{Typeflag: header.Typeflag, Name: name, Linkname: header.Linkname, Mode: header.Mode, Uid: header.Uid, Gid: header.Gid, Size: header.Size}
		if header.Typeflag == tar.TypeDir {
			kept.Name += "/"
		}
		if header.Typeflag == tar.TypeLink {
			kept.Linkname = clean(header.Linkname)
		}
		l.add(kept, entries)
	}
	return l
}

// alternative makes the link that a package's scripts would have made.
func (l *layer) alternative(name, program string) *layer {
	if l.names["bin/"+name] {
		return l
	}
	return l.link("bin/"+name, program)
}

func unread(name string) bool {
	for _, folder := range []string{"usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/lintian", "dev", "var/lib/apt", "var/cache", "var/lib/dpkg", "tmp", "var/tmp"} {
		if name == folder || strings.HasPrefix(name, folder+"/") {
			return true
		}
	}
	return false
}
