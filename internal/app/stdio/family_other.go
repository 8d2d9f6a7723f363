//go:build !unix

package stdio

import (
	"errors"
	"syscall"
)

type relatives struct{}

var family relatives

func (relatives) open() error {
	return errors.New("MCP servers on standard input and output need Linux or another Unix system")
}
func (relatives) close()               {}
func (relatives) note(*process)        {}
func (relatives) wait(*process) error  { return errors.ErrUnsupported }
func (relatives) start(*process) error { return errors.ErrUnsupported }

func attributes(*account) *syscall.SysProcAttr { return nil }
func signalGroup(int, bool)                    {}
