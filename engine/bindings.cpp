// The only file that knows Python. Arrays come in through the buffer protocol, which, unlike DLPack, passes read-only,
// byte-swapped and unaligned arrays.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <vector>

#include "dispatch.hpp"

namespace nb = nanobind;

namespace corr2d {
namespace {

class Buffer {
  public:
    Buffer(nb::handle array, bool writable) {
        const int flags = PyBUF_STRIDES | PyBUF_FORMAT | (writable ? PyBUF_WRITABLE : 0);
        if (PyObject_GetBuffer(array.ptr(), &view, flags) != 0) throw nb::python_error();
    }
    ~Buffer() { PyBuffer_Release(&view); }
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;

    Py_buffer view;
};

struct Format {
    Pixel pixel;
    bool swapped;
};

bool is_little_endian() {
    const std::uint16_t one = 1;
    return *reinterpret_cast<const unsigned char*>(&one) == 1;
}

Format parse_format(const Py_buffer& view) {
    const std::string format = view.format ? view.format : "B";
    const char order = format[0];
    const bool has_order = order == '<' || order == '>' || order == '!' || order == '=' || order == '@';
    const std::string code = has_order ? format.substr(1) : format;
    const bool swapped = is_little_endian() ? (order == '>' || order == '!') : order == '<';
    const auto size = view.itemsize;
    if (code.size() == 1) {
        const bool is_unsigned = std::string("BHILQ").find(code) != std::string::npos;
        const bool is_signed = std::string("bhilq").find(code) != std::string::npos;
        if (is_unsigned || is_signed) {
            if (size == 1) return {is_unsigned ? Pixel::u8 : Pixel::i8, false};
            if (size == 2) return {is_unsigned ? Pixel::u16 : Pixel::i16, swapped};
            if (size == 4) return {is_unsigned ? Pixel::u32 : Pixel::i32, swapped};
            if (size == 8) return {is_unsigned ? Pixel::u64 : Pixel::i64, swapped};
        }
        if (code == "?") return {Pixel::b8, false};
        if (code == "e") return {Pixel::f16, swapped};
        if (code == "f") return {Pixel::f32, swapped};
        if (code == "d") return {Pixel::f64, swapped};
    }
    throw std::invalid_argument("the engine has no pixel type '" + format + "'");
}

// Addresses of pixel (0, 0) of every plane: the leading axes walked in row-major order, whatever their strides.
std::vector<char*> plane_addresses(const Py_buffer& view) {
    std::vector<char*> planes{static_cast<char*>(view.buf)};
    for (int axis = 0; axis < view.ndim - 2; ++axis) {
        std::vector<char*> finer;
        finer.reserve(planes.size() * std::size_t(view.shape[axis]));
        for (char* plane : planes) {
            for (Py_ssize_t i = 0; i < view.shape[axis]; ++i) finer.push_back(plane + i * view.strides[axis]);
        }
        planes.swap(finer);
    }
    return planes;
}

template <class Byte>
Planes<Byte> planes_of(const Py_buffer& view, Byte* const* addresses) {
    const Format format = parse_format(view);
    const int n = view.ndim;
    return {addresses,           view.shape[n - 2], view.shape[n - 1], view.strides[n - 2],
            view.strides[n - 1], format.pixel,      format.swapped};
}

// Memory aligned to 64 bytes. Not aligned_alloc: glibc before 2.38 does not find what it freed again for the next, and
// grows by every band.
class Memory {
  public:
    Memory() = default;
    explicit Memory(std::size_t bytes) : base(static_cast<char*>(std::malloc(bytes + 64)), std::free) {
        if (!base) throw std::bad_alloc();
    }
    char* get() const { return base.get() + (64 - reinterpret_cast<std::uintptr_t>(base.get()) % 64); }

  private:
    std::unique_ptr<char, decltype(&std::free)> base{nullptr, std::free};
};

// One correlation, ready to be run band by band, from any thread.
class Correlation {
  public:
    Correlation(nb::handle image, nb::handle kernel, nb::handle out, std::ptrdiff_t top, std::ptrdiff_t left, int border,
                double cval, double bias, Way way, nb::handle columns, nb::handle rows, std::ptrdiff_t tile, const Table& table)
        : image(image, false), kernel(kernel, false), columns(columns, false), rows(rows, false), out(out, true) {
        const Py_buffer &i = this->image.view, &k = this->kernel.view, &o = this->out.view;
        if (i.ndim < 2 || o.ndim < 2 || k.ndim != 2) throw std::invalid_argument("image and out need two axes, kernel exactly two");
        if (!PyBuffer_IsContiguous(&k, 'C')) throw std::invalid_argument("the kernel must be contiguous");
        for (const char* address : plane_addresses(i)) image_planes.push_back(address);
        out_planes = plane_addresses(o);
        if (image_planes.size() != out_planes.size()) throw std::invalid_argument("image and out differ in their leading axes");

        const Format sums = parse_format(k);
        if (sums.swapped || (sums.pixel != Pixel::f32 && sums.pixel != Pixel::f64)) {
            throw std::invalid_argument("the kernel must be float32 or float64");
        }
        algorithm = (sums.pixel == Pixel::f32 ? table.f32 : table.f64)[int(way)];
        const Py_buffer &c = this->columns.view, &r = this->rows.view;
        if (way == Way::separable) {
            const auto fits = [&](const Py_buffer& factor, Py_ssize_t length) {
                return factor.ndim == 2 && factor.shape[0] == c.shape[0] && factor.shape[1] == length &&
                       PyBuffer_IsContiguous(&factor, 'C') && parse_format(factor).pixel == sums.pixel;
            };
            if (!fits(c, k.shape[0]) || !fits(r, k.shape[1]) || c.shape[0] < 1) {
                throw std::invalid_argument("columns and rows must be (rank, kh) and (rank, kw), of the kernel's type");
            }
        }
        if (way == Way::fft && (tile < 32 || (tile & (tile - 1)) != 0)) {
            throw std::invalid_argument("the FFT's tile must be a power of two, at least 32");
        }
        job = {planes_of<const char>(i, image_planes.data()),
               planes_of<char>(o, out_planes.data()),
               std::ptrdiff_t(out_planes.size()),
               k.buf,
               k.shape[0],
               k.shape[1],
               top,
               left,
               static_cast<Border>(border),
               cval,
               bias,
               c.buf,
               r.buf,
               way == Way::separable ? c.shape[0] : 0,
               tile};
        const bool writable = job.out.pixel != Pixel::b8 && job.out.pixel != Pixel::f16;
        if (job.out.swapped || !writable) throw std::invalid_argument("the engine cannot write this type");
        const bool has_pixels = job.image.height > 0 && job.image.width > 0 && job.kh > 0 && job.kw > 0;
        const bool has_results = job.planes > 0 && job.out.height > 0 && job.out.width > 0;
        if (has_results && !has_pixels) throw std::invalid_argument("image and kernel must not be empty");
        if (has_results) {
            units = algorithm.units(job);
            const nb::gil_scoped_release unlocked;
            shared = Memory(algorithm.shared_bytes(job));
            algorithm.prepare(job, shared.get());
        }
    }

    // Units [begin, end) of the work. True: a NaN met an integer pixel.
    bool run(std::ptrdiff_t begin, std::ptrdiff_t end) const {
        if (begin < 0 || end > units) throw std::invalid_argument("no such units");
        if (begin >= end) return false;
        const nb::gil_scoped_release unlocked;
        const Memory scratch(algorithm.scratch_bytes(job));
        return algorithm.run(job, shared.get(), begin, end, scratch.get());
    }

    std::ptrdiff_t units = 0;

  private:
    Buffer image, kernel, columns, rows, out;
    std::vector<const char*> image_planes;
    std::vector<char*> out_planes;
    Job job;
    Algorithm algorithm;
    Memory shared;
};

}  // namespace
}  // namespace corr2d

NB_MODULE(_engine, m) {
    using namespace corr2d;
    static const Table* const table = [] {
        const char* name = std::getenv("CORR2D_ISA");
        return &pick_table(name ? name : "");
    }();

    m.attr("isa") = table->name;
    nb::list names;
    for (const Table* usable : usable_tables()) names.append(usable->name);
    m.attr("usable_isas") = nb::tuple(names);

    // `columns` and `rows` are looked at by the separable way alone, `tile` by the FFT; others may pass the kernel and 0.
    nb::class_<Correlation>(m, "Correlation")
        .def(
            "__init__",
            [](Correlation* self, nb::handle image, nb::handle kernel, nb::handle out, std::ptrdiff_t top,
               std::ptrdiff_t left, int border, double cval, double bias, int way, nb::handle columns, nb::handle rows,
               std::ptrdiff_t tile) {
                if (way < 0 || way > int(Way::fft)) throw std::invalid_argument("no such way");
                new (self) Correlation(image, kernel, out, top, left, border, cval, bias, Way(way), columns, rows, tile, *table);
            },
            nb::arg("image"), nb::arg("kernel"), nb::arg("out"), nb::arg("top"), nb::arg("left"), nb::arg("border"),
            nb::arg("cval"), nb::arg("bias"), nb::arg("way"), nb::arg("columns"), nb::arg("rows"), nb::arg("tile"))
        .def_ro("units", &Correlation::units)
        .def("run", &Correlation::run, nb::arg("begin"), nb::arg("end"));
}
